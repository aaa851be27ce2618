// Avro's binary encoding in Confluent's framing: a zero, the schema's id in four bytes, the value.
// Ids are given, not looked up. All threads of an application share an instance, as Kafka Streams
// shares those of its sources, sinks and stores.

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

final class Avro<T extends SpecificRecordBase> implements Serializer<T>, Deserializer<T> {
    /** What one thread uses again for each value. */
    private static final class Local<T> {
        final SpecificDatumWriter<T> writer;
        final SpecificDatumReader<T> reader;
        final ByteArrayOutputStream buffer = new ByteArrayOutputStream(512);
        BinaryEncoder encoder;
        BinaryDecoder decoder;

        Local(Class<T> type) {
            writer = new SpecificDatumWriter<>(type);
            reader = new SpecificDatumReader<>(type);
        }
    }

    private final int id;
    private final ThreadLocal<Local<T>> local;

    Avro(int id, Class<T> type) {
        this.id = id;
        this.local = ThreadLocal.withInitial(() -> new Local<>(type));
    }

    static <T extends SpecificRecordBase> Serde<T> serde(int id, Class<T> type) {
        var avro = new Avro<>(id, type);
        return Serdes.serdeFrom(avro, avro);
    }

    @Override
    public byte[] serialize(String topic, T value) {
        if (value == null) return null;
        Local<T> own = local.get();
        try {
            own.buffer.reset();
            own.buffer.write(0);
            for (int shift = 24; shift >= 0; shift -= 8) own.buffer.write(id >>> shift);
            own.encoder = EncoderFactory.get().directBinaryEncoder(own.buffer, own.encoder);
            own.writer.write(value, own.encoder);
            return own.buffer.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public T deserialize(String topic, byte[] bytes) {
        if (bytes == null) return null;
        Local<T> own = local.get();
        try {
            int length = bytes.length - 5;
            own.decoder = DecoderFactory.get().binaryDecoder(bytes, 5, length, own.decoder);
            return own.reader.read(null, own.decoder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void configure(Map<String, ?> settings, boolean isKey) {}

    @Override
    public void close() {}
}
