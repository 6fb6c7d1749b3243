//! The events of the order pipeline: their envelope, topics, ids and money.
