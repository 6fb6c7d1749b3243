import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Writes transactions of every fate to partition 0 of a topic, for tests of consumers: deploy/testbed/tool Transactions.java SERVERS TOPIC.
 *
 * Committed 0 to 4, aborted 5 to 9, committed 10 to 14; then 15 to 19 of a transaction that stays open, and behind them 20 to 24, which
 * another producer commits. It then says "open", waits for a line, ends the open transaction as the line says ("commit" or "abort"), and says
 * "done". Keys are the numbers.
 */
public final class Transactions {
  public static void main(String[] arguments) throws Exception {
    String servers = arguments[0], topic = arguments[1];
    try (var one = producer(servers, topic + "-one"); var other = producer(servers, topic + "-other")) {
      one.beginTransaction();
      send(one, topic, 0);
      one.commitTransaction();
      one.beginTransaction();
      send(one, topic, 5);
      one.abortTransaction();
      one.beginTransaction();
      send(one, topic, 10);
      one.commitTransaction();
      one.beginTransaction();
      send(one, topic, 15);
      other.beginTransaction();
      send(other, topic, 20);
      other.commitTransaction();
      System.out.println("open");
      String line = new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).readLine();
      if ("commit".equals(line)) {
        one.commitTransaction();
      } else {
        one.abortTransaction();
      }
      System.out.println("done");
    }
  }

  private static KafkaProducer<byte[], byte[]> producer(String servers, String id) {
    var settings = new Properties();
    settings.put("bootstrap.servers", servers);
    settings.put("transactional.id", id);
    settings.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
    settings.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
    var producer = new KafkaProducer<byte[], byte[]>(settings);
    producer.initTransactions();
    return producer;
  }

  /** Five records from this number on, all written when it returns. */
  private static void send(KafkaProducer<byte[], byte[]> producer, String topic, int from) {
    for (int number = from; number < from + 5; number++) {
      producer.send(new ProducerRecord<>(topic, 0, Integer.toString(number).getBytes(), new byte[0]));
    }
    producer.flush();
  }
}
