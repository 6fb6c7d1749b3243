//! The outbox as a page for people.

use std::fmt::{self, Display, Write as _};

use service_kit::store::Direction;

use crate::mail::{Mail, MailId};

/// Colours follow what the browser is set to.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.45; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; background: Canvas; color: CanvasText; }
article { border: 1px solid color-mix(in srgb, CanvasText 25%, Canvas); border-radius: 0.5rem; margin: 0.75rem 0; padding: 0.75rem 1rem; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0.25rem 0; overflow-wrap: anywhere; }
.about { color: color-mix(in srgb, CanvasText 65%, Canvas); font-size: 0.875rem; }
.state { font-weight: 600; }
.FAILED, .error { color: light-dark(#a40000, #ff9b93); }
.SENT { color: light-dark(#00612e, #7fd7a1); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.5rem 0 0; }
";

/// A page of mails, and a link to the next one in this direction.
pub(super) fn html(mails: &[Mail], next: Option<MailId>, direction: Direction) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Outbox</title>\n\
         <link rel=\"stylesheet\" href=\"/outbox/style.css\">\n</head>\n<body>\n<h1>Outbox</h1>\n",
    );
    if mails.is_empty() {
        page.push_str("<p>There are no mails.</p>\n");
    }
    for mail in mails {
        article(&mut page, mail);
    }
    if let Some(next) = next {
        let order = match direction {
            Direction::Ascending => "",
            Direction::Descending => "&amp;order=desc",
        };
        let _ = writeln!(
            page,
            "<p><a href=\"/outbox?after={next}{order}\">Next page</a></p>"
        );
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn article(page: &mut String, mail: &Mail) {
    let (id, state, attempts) = (mail.mail_id, mail.state.as_str(), mail.attempts);
    let (from, to, at) = (Escaped(&mail.from), Escaped(&mail.to), mail.created_at);
    let (subject, text) = (Escaped(&mail.subject), Escaped(&mail.text));
    // Writing into a string cannot fail.
    let _ = write!(
        page,
        "<article>\n<h2><a href=\"/mails/{id}\">{subject}</a></h2>\n\
         <p class=\"about\">from <bdi>{from}</bdi> to <bdi>{to}</bdi>, written {at}</p>\n\
         <p><span class=\"state {state}\">{state}</span>"
    );
    if let Some(sent_at) = mail.sent_at {
        let _ = write!(page, " at {sent_at}");
    }
    if attempts > 0 {
        let _ = write!(page, ", attempts: {attempts}");
    }
    page.push_str("</p>\n");
    if let Some(error) = &mail.error {
        let _ = writeln!(page, "<p class=\"error\"><bdi>{}</bdi></p>", Escaped(error));
    }
    let _ = writeln!(
        page,
        "<details><summary>Text</summary><pre dir=\"auto\">{text}</pre></details>\n</article>"
    );
}

/// A text as it may stand in an element and in an attribute in quotes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use contracts::{OrderId, PaymentProcessed, PaymentStatus, Timestamp};

    use super::*;
    use crate::mail::Letterhead;

    #[test]
    fn what_customers_and_relays_say_is_text_on_the_page() {
        let payment = PaymentProcessed {
            order_id: OrderId::new(Timestamp::from_millis(1), [7; 10]),
            customer_id: "<script>alert('x')</script>".parse().unwrap(),
            amount: "59.98".parse().unwrap(),
            status: PaymentStatus::Refunded,
            reason: Some("\"<img src=x onerror=y>\" &amp;".to_owned()),
            items: Vec::new(),
            shipping_address: "1 Main Street".parse().unwrap(),
            timestamp: Timestamp::from_millis(1),
        };
        let (letterhead, now) = (Letterhead::default(), Timestamp::from_millis(2));
        let mut mail = Mail::of_payment(&payment, &letterhead, now).unwrap();
        mail.error = Some("550 <b>no</b>".to_owned());
        let page = html(
            std::slice::from_ref(&mail),
            Some(mail.mail_id),
            Direction::Descending,
        );
        for raw in ["<script", "<img", "<b>"] {
            assert!(!page.contains(raw), "{page}");
        }
        for told in [
            "Hello &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;,",
            "&quot;&lt;img",
            "&amp;amp;",
            "550 &lt;b&gt;no",
        ] {
            assert!(page.contains(told), "{told} in {page}");
        }
        let next = format!("/outbox?after={}&amp;order=desc\"", mail.mail_id);
        assert!(page.contains(&next), "{page}");
        assert!(html(&[], None, Direction::Ascending).contains("There are no mails."));
    }
}
