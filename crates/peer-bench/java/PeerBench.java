import com.sun.management.OperatingSystemMXBean;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.tools.ConsumerPerformance;
import org.apache.kafka.tools.ProducerPerformance;

/**
 * Runs Kafka's own performance tools twice in one JVM, first to warm up, and reports the second run in the way that the other
 * clients report theirs. Kafka has no tool that measures latency at a steady rate, so that one is written out here.
 */
public class PeerBench {
  static final int PARTITIONS = 3;
  /** The sum that the tools print last: so many records, so many a second. */
  static final Pattern SENT = Pattern.compile("(\\d+) records sent, ([0-9.]+) records/sec");

  public static void main(String[] args) throws Exception {
    String mode = args[0];
    String servers = args[1];
    String topic = args[2];
    int size = Integer.parseInt(args[3]);
    long records = Long.parseLong(args[4]);
    long warmUp = Long.parseLong(args[5]);
    String warmUpTopic = args[6];
    List<String> properties = List.of(args).subList(7, args.length);
    switch (mode) {
      case "produce" -> produce(servers, topic, size, records, warmUp, properties);
      case "consume" -> consume(servers, topic, records, warmUpTopic, warmUp, properties);
      case "latency" -> latency(servers, topic, size, (int) records, (int) warmUp, properties);
      default -> throw new IllegalArgumentException(mode);
    }
    // The clients' threads that may be left are no reason to stay.
    System.exit(0);
  }

  static void produce(String servers, String topic, int size, long records, long warmUp, List<String> properties) throws Exception {
    printed(() -> ProducerPerformance.main(producerArguments(servers, topic, 10, warmUp, properties)));
    long cpu = cpuNanos();
    String output = printed(() -> ProducerPerformance.main(producerArguments(servers, topic, size, records, properties)));
    cpu = cpuNanos() - cpu;
    Matcher sent = SENT.matcher(output);
    double rate = 0;
    long count = 0;
    // Its progress has the same form; the sum comes last.
    while (sent.find()) {
      count = Long.parseLong(sent.group(1));
      rate = Double.parseDouble(sent.group(2));
    }
    if (count != records) throw new IllegalStateException("of " + records + " records " + count + " were sent: " + output);
    report(records, warmUp, records / rate, cpu, new double[3]);
  }

  static String[] producerArguments(String servers, String topic, int size, long records, List<String> properties) {
    List<String> arguments = new ArrayList<>(List.of("--bootstrap-server", servers, "--topic", topic, "--record-size", "" + size,
        "--num-records", "" + records, "--throughput", "-1", "--reporting-interval", "3600000"));
    if (!properties.isEmpty()) arguments.add("--command-property");
    arguments.addAll(properties);
    return arguments.toArray(new String[0]);
  }

  static void consume(String servers, String topic, long records, String warmUpTopic, long warmUp, List<String> properties)
      throws Exception {
    printed(() -> ConsumerPerformance.main(consumerArguments(servers, warmUpTopic, warmUp, properties)));
    long cpu = cpuNanos();
    String output = printed(() -> ConsumerPerformance.main(consumerArguments(servers, topic, records, properties)));
    cpu = cpuNanos() - cpu;
    // start, end, MB, MB/s, records, records/s, ms until the group was joined, ms after that, …
    String[] fields = output.strip().split("\\s*,\\s*");
    if (fields.length < 8) throw new IllegalStateException("ConsumerPerformance printed: " + output);
    long count = Long.parseLong(fields[4]);
    double seconds = Long.parseLong(fields[7]) / 1e3;
    if (count != records) throw new IllegalStateException("of " + records + " records " + count + " came");
    report(records, 0, seconds, cpu, new double[3]);
  }

  static String[] consumerArguments(String servers, String topic, long records, List<String> properties) {
    List<String> arguments = new ArrayList<>(List.of("--bootstrap-server", servers, "--topic", topic, "--num-records", "" + records,
        "--group", "peer-bench-" + topic, "--hide-header", "--timeout", "30000", "--command-property", "enable.auto.commit=false"));
    for (String property : properties) arguments.addAll(List.of("--command-property", property));
    return arguments.toArray(new String[0]);
  }

  static final long RATE = 1_000;
  static final int STEADY_WARM_UP = 1_000;

  /** First warmUp records as fast as they go, and all of them read; then a steady rate, of which the first second does not count. */
  static void latency(String servers, String topic, int size, int records, int warmUp, List<String> properties) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", servers);
    for (String property : properties) {
      String[] pair = property.split("=", 2);
      settings.put(pair[0], pair[1]);
    }
    int uncounted = warmUp + STEADY_WARM_UP;
    long[] readAt = new long[uncounted + records];
    AtomicReference<Throwable> failure = new AtomicReference<>();
    CountDownLatch warm = new CountDownLatch(warmUp);
    CountDownLatch done = new CountDownLatch(readAt.length);
    Thread reading = new Thread(() -> read(servers, topic, readAt, List.of(warm, done), failure));
    reading.setDaemon(true);
    reading.start();
    long cpu;
    long origin;
    try (var producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      for (int n = 0; n < warmUp; n++) send(producer, topic, size, n, failure);
      await(warm, failure);
      cpu = cpuNanos();
      origin = System.nanoTime();
      for (int n = warmUp; n < readAt.length; n++) {
        for (long wait; (wait = due(origin, n - warmUp) - System.nanoTime()) > 0; ) LockSupport.parkNanos(wait);
        send(producer, topic, size, n, failure);
      }
    }
    await(done, failure);
    cpu = cpuNanos() - cpu;
    long[] counted = new long[records];
    for (int n = 0; n < records; n++) counted[n] = readAt[uncounted + n] - due(origin, STEADY_WARM_UP + n);
    Arrays.sort(counted);
    double[] percentiles = new double[3];
    int[] perMille = {500, 990, 999};
    for (int i = 0; i < 3; i++) percentiles[i] = counted[(int) Math.ceil((counted.length - 1) * perMille[i] / 1e3)] / 1e6;
    report(records, uncounted, (double) (STEADY_WARM_UP + records) / RATE, cpu, percentiles);
  }

  static long due(long origin, int n) {
    return origin + n * 1_000_000_000L / RATE;
  }

  static void send(KafkaProducer<byte[], byte[]> producer, String topic, int size, int n, AtomicReference<Throwable> failure) {
    byte[] value = new byte[size];
    ByteBuffer.wrap(value).putLong(n);
    producer.send(new ProducerRecord<>(topic, value), (metadata, error) -> { if (error != null) failure.set(error); });
  }

  static void await(CountDownLatch latch, AtomicReference<Throwable> failure) throws Exception {
    boolean reached = latch.await(60, TimeUnit.SECONDS);
    if (failure.get() != null) throw new IllegalStateException(failure.get());
    if (!reached) throw new IllegalStateException(latch.getCount() + " records did not come back");
  }

  static void read(String servers, String topic, long[] readAt, List<CountDownLatch> latches, AtomicReference<Throwable> failure) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", servers);
    settings.put("auto.offset.reset", "earliest");
    settings.put("enable.auto.commit", "false");
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (int p = 0; p < PARTITIONS; p++) partitions.add(new TopicPartition(topic, p));
      consumer.assign(partitions);
      for (int read = 0; read < readAt.length; ) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
          long now = System.nanoTime();
          int n = (int) ByteBuffer.wrap(record.value()).getLong();
          if (readAt[n] != 0) throw new IllegalStateException("record " + n + " came twice");
          readAt[n] = now;
          read++;
          for (CountDownLatch latch : latches) latch.countDown();
        }
      }
    } catch (Throwable problem) {
      failure.set(problem);
    }
  }

  interface Action { void run() throws Exception; }

  /** What the action prints to standard output. */
  static String printed(Action action) throws Exception {
    PrintStream before = System.out;
    ByteArrayOutputStream output = new ByteArrayOutputStream();
    System.setOut(new PrintStream(output, true));
    try {
      action.run();
    } finally {
      System.setOut(before);
    }
    return output.toString();
  }

  static long cpuNanos() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  static void report(long records, long extra, double seconds, long cpuNanos, double[] latency) throws Exception {
    String peak = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("VmHWM:")).findFirst()
        .orElseThrow().replaceAll("[^0-9]", "");
    System.out.println("report records=" + records + " extra=" + extra + " seconds=" + seconds + " cpu=" + cpuNanos / 1e9
        + " peak_kib=" + peak + " p50=" + latency[0] + " p99=" + latency[1] + " p999=" + latency[2]);
  }
}
