// The work of integration/bench as a Kafka Streams application, written for speed: exactly_once_v2,
// the processor API, a store with a changelog and without a second cache, Avro's generated classes and
// their binary encoders, and larger batches and polls than the defaults.
//
//     KafkaStreamsWork BROKERS NAME INPUTS OUTPUTS COMMIT_MS memory|rocksdb STATE_FOLDER

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
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

    /** Confluent's framing: a zero, the schema's id in four bytes, Avro. Used by one thread. */
    private static final class Avro<T extends SpecificRecordBase> implements Serializer<T>, Deserializer<T> {
        private final int id;
        private final SpecificDatumWriter<T> writer;
        private final SpecificDatumReader<T> reader;
        private final ByteArrayOutputStream buffer = new ByteArrayOutputStream(512);
        private BinaryEncoder encoder;
        private BinaryDecoder decoder;

        Avro(int id, Class<T> type) {
            this.id = id;
            this.writer = new SpecificDatumWriter<>(type);
            this.reader = new SpecificDatumReader<>(type);
        }

        @Override
        public byte[] serialize(String topic, T value) {
            if (value == null) return null;
            try {
                buffer.reset();
                buffer.write(0);
                for (int shift = 24; shift >= 0; shift -= 8) buffer.write(id >>> shift);
                encoder = EncoderFactory.get().directBinaryEncoder(buffer, encoder);
                writer.write(value, encoder);
                return buffer.toByteArray();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public T deserialize(String topic, byte[] bytes) {
            if (bytes == null) return null;
            try {
                decoder = DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, decoder);
                return reader.read(null, decoder);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public void configure(Map<String, ?> settings, boolean isKey) {}

        @Override
        public void close() {}
    }

    private static <T extends SpecificRecordBase> Serde<T> serde(int id, Class<T> type) {
        return Serdes.serdeFrom(new Avro<>(id, type), new Avro<>(id, type));
    }

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
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 128 << 20);

        var kind = arguments[5].equals("memory") ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE);
        var store = Stores.keyValueStoreBuilder(kind, Serdes.String(), serde(3, Count.class)).withCachingDisabled();
        Topology topology = new Topology();
        topology.addSource("in", Serdes.String().deserializer(), serde(1, Add.class).deserializer(), arguments[2]);
        topology.addProcessor("count", Counter::new, "in");
        topology.addStateStore(store, "count");
        topology.addSink("out", arguments[3], Serdes.String().serializer(), serde(2, Counted.class).serializer(), "count");

        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            double mean = Double.NaN, rate = 0;
            for (var metric : streams.metrics().entrySet()) {
                if (!metric.getKey().group().equals("stream-thread-metrics")) continue;
                if (metric.getKey().name().equals("commit-latency-avg")) mean = (double) metric.getValue().metricValue();
                if (metric.getKey().name().equals("commit-total")) rate = (double) metric.getValue().metricValue();
            }
            if (!Double.isNaN(mean)) {
                System.out.println("{\"commits\":{\"count\":" + (long) rate + ",\"mean_ms\":" + mean + "}}");
                System.out.flush();
            }
            streams.close(Duration.ofSeconds(20));
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
