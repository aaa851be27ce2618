// The work of integration/bench as a Kafka Streams application, written for speed:
// exactly_once_v2, the processor API, a store with a changelog and without a second cache, Avro's
// generated classes and their binary encoders, and larger batches and polls than the defaults.
//
//     KafkaStreamsWork BROKERS NAME INPUTS OUTPUTS COMMIT_MS memory|rocksdb STATE_FOLDER

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import speed.Add;
import speed.Count;
import speed.Counted;

public final class KafkaStreamsWork {
    private static final String STORE = "counts";

    private static final class Counter implements Processor<String, Add, String, Counted> {
        private ProcessorContext<String, Counted> context;
        private KeyValueStore<String, Count> store;

        @Override
        public void init(ProcessorContext<String, Counted> context) {
            this.context = context;
            this.store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Add> record) {
            Count before = store.get(record.key());
            long count = before == null ? 1 : before.getCount() + 1;
            // Avro's own Utf8: decoded and encoded as bytes, which is faster than a String.
            CharSequence body = record.value().getBody();
            store.put(record.key(), new Count(count, body));
            context.forward(record.withValue(new Counted(count, body)));
        }
    }

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[4]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[6]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        settings.put(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, 4 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 128 << 20);

        var kind = arguments[5].equals("memory")
            ? Stores.inMemoryKeyValueStore(STORE)
            : Stores.persistentKeyValueStore(STORE);
        var count = Avro.serde(3, Count.class);
        var store = Stores.keyValueStoreBuilder(kind, Serdes.String(), count).withCachingDisabled();
        var keys = Serdes.String();
        var add = new Avro<>(1, Add.class);
        var counted = new Avro<>(2, Counted.class);
        Topology topology = new Topology();
        topology.addSource("in", keys.deserializer(), add, arguments[2]);
        topology.addProcessor("count", Counter::new, "in");
        topology.addStateStore(store, "count");
        topology.addSink("out", arguments[3], keys.serializer(), counted, "count");

        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            double mean = Double.NaN, commits = 0;
            for (var metric : streams.metrics().entrySet()) {
                if (!metric.getKey().group().equals("stream-thread-metrics")) continue;
                var value = metric.getValue().metricValue();
                if (metric.getKey().name().equals("commit-latency-avg")) mean = (double) value;
                if (metric.getKey().name().equals("commit-total")) commits = (double) value;
            }
            if (!Double.isNaN(mean)) {
                var line = "{\"commits\":{\"count\":%d,\"mean_ms\":%s}}";
                System.out.println(String.format(line, (long) commits, mean));
                System.out.flush();
            }
            streams.close(Duration.ofSeconds(20));
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
