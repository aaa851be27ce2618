// mongo-java-server on an H2 file: MongoDB's wire protocol for the native stack and for
// `integration/compose`. Run as
// `java -cp 'jars/*' MongoServer.java PORT FILE [ADDRESS [CERTIFICATE KEY]]`.
// Without an address it listens on loopback. With a certificate and its key (of an elliptic curve,
// PKCS8), both PEM, it accepts only TLS. It has no transactions, no pipeline updates and no
// `bulkWrite` (see ../README.md). Three things differ from the library's own server:
//
// - A write is answered when it is in the file, so it survives `kill -9`. One commit holds all
//   writes that wait for one, as in MongoDB's journal.
// - A collection is one map from `_id` to BSON. The library has two of serialized Java objects.
// - A filter of `_id` and other fields uses the index of `_id`, as in MongoDB. The library compares
//   every document of the collection.

import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.*;
import de.bwaldvogel.mongo.backend.h2.*;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.bson.ObjectId;
import de.bwaldvogel.mongo.exception.BadValueException;
import de.bwaldvogel.mongo.wire.bson.BsonDecoder;
import de.bwaldvogel.mongo.wire.bson.BsonEncoder;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.*;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;
import org.h2.mvstore.WriteBuffer;
import org.h2.mvstore.type.BasicDataType;

public final class MongoServer {
    /** Keeps a reference: the garbage collector would close the listener with the server object. */
    private static de.bwaldvogel.mongo.MongoServer server;

    /**
     * Drivers refuse old wire versions; 13 is MongoDB 5.0's, the newest whose messages this server
     * knows.
     */
    private static final MongoVersion VERSION = new MongoVersion() {
        @Override public List<Integer> getVersionArray() { return List.of(5, 0, 0); }
        @Override public int getWireVersion() { return 13; }
    };

    /** A connection belongs to one thread, which waits for commits. Few connections share one. */
    private static final int THREADS = 32;

    /**
     * How long the file keeps the space of data that was replaced. The last versions stay in any
     * case; H2's default, 45 s, is for disks that reorder writes.
     */
    private static final int KEPT_MS = 1_000;

    /** The least percentage of the file's used space that is valid, and the bytes of one step. */
    private static final int FILLED_MIN = 50, COMPACTED_MAX = 2 << 20;

    /** Of the documents in memory. */
    private static final int CACHE_MB = 64;

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        // Without H2's background threads, a commit runs in the thread that waits for it.
        MVStore store = new MVStore.Builder()
            .fileName(args[1]).autoCommitDisabled().cacheSize(CACHE_MB).open();
        store.setRetentionTime(KEPT_MS);
        Thread compaction = new Thread(() -> compact(store), "compaction");
        compaction.setDaemon(true);
        compaction.start();
        Backend backend = new Backend(store);
        backend.version(VERSION);
        server = new de.bwaldvogel.mongo.MongoServer(backend);
        String address = args.length > 2 ? args[2] : "127.0.0.1";
        if (args.length > 4) {
            encrypt(Path.of(args[3]), Path.of(args[4]));
        }
        server.bind(new InetSocketAddress(address, port), 1, THREADS);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.shutdownNow()));
        System.out.println("listening on " + address + ":" + port + ", data in " + args[1]);
        Thread.currentThread().join();
    }

    /** Moves what is still valid out of old commits, so that the file has less waste than data. */
    private static void compact(MVStore store) {
        try {
            while (true) {
                Thread.sleep(KEPT_MS);
                store.compact(FILLED_MIN, COMPACTED_MAX);
            }
        } catch (InterruptedException | MVStoreException end) {
            // The store is closed, or a write has failed, which the next command reports.
        }
    }

    private static void encrypt(Path certificate, Path key) throws Exception {
        String pem = Files.readString(key).replaceAll("-----[A-Z ]+-----|\\s", "");
        byte[] der = Base64.getDecoder().decode(pem);
        PrivateKey privateKey =
            KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        try (InputStream in = Files.newInputStream(certificate)) {
            var certificates = CertificateFactory.getInstance("X.509");
            var read = (X509Certificate) certificates.generateCertificate(in);
            server.enableSsl(privateKey, null, read);
        }
    }

    /** Answers a write when a commit that began after it has ended. */
    private static final class Backend extends H2Backend {
        /** Commands that change nothing. Every other command waits for a commit. */
        private static final Set<String> READS = Set.of(
            "buildInfo", "count", "distinct", "endSessions", "find", "getMore", "hello", "isMaster",
             "ismaster", "killCursors", "listCollections", "listIndexes", "ping");

        /** The number of writes that have been carried out. */
        private final AtomicLong written = new AtomicLong();
        private final Object commit = new Object();
        /** The number of writes that are in the file for certain. */
        private long committed;

        Backend(MVStore store) {
            super(store);
        }

        @Override public Document handleCommand(
                Channel channel, String database, String command, Document query) {
            Document answer = super.handleCommand(channel, database, command, query);
            if (!READS.contains(command)) {
                awaitCommit(written.incrementAndGet());
            }
            return answer;
        }

        /** Waits for the running commit, then commits unless another waiter has done so. */
        private void awaitCommit(long own) {
            synchronized (commit) {
                if (committed < own) {
                    long all = written.get();
                    commit();
                    committed = all;
                }
            }
        }

        @Override protected MongoDatabase openOrCreateDatabase(String name) {
            return new Database(name);
        }

        /** Opens collections and their indexes of `_id`. The library ignores all other indexes. */
        private final class Database extends H2Database {
            Database(String name) {
                super(name, Backend.this.getMvStore(), Backend.this.getCursorRegistry());
            }

            @Override protected MongoCollection<Object> openOrCreateCollection(
                    String name, CollectionOptions options) {
                MVMap<String, Object> meta =
                    getMvStore().openMap("meta." + getFullCollectionNamespace(name));
                return new Collection(this, name, options, documents(name), meta);
            }

            @Override protected Index<Object> openOrCreateUniqueIndex(
                    String collection, String name, List<IndexKey> keys, boolean sparse) {
                return new IdIndex(documents(collection), name, keys);
            }

            /** Opens the map of a collection, the name of which the library knows too. */
            private MVMap<Object, Document> documents(String collection) {
                return getMvStore().openMap("databases." + getFullCollectionNamespace(collection),
                    new MVMap.Builder<Object, Document>().valueType(new Bson()));
            }
        }

        private final class Collection extends H2Collection {
            Collection(MongoDatabase database, String name, CollectionOptions options,
                    MVMap<Object, Document> documents, MVMap<String, Object> meta) {
                super(database, name, options, documents, meta, getCursorRegistry());
            }

            /** Nobody asks for the size, which would be another write for each write. */
            @Override protected boolean tracksDataSize() {
                return false;
            }

            /**
             * An update changes the document that a query has found. It must be a copy: the map's
             * own is being written to the file, or to another client.
             */
            @Override protected QueryResult createQueryResult(List<Document> found, int batchSize) {
                var copies = found.stream().map(Document::cloneDeeply).collect(Collectors.toList());
                return super.createQueryResult(copies, batchSize);
            }
        }
    }

    /** The index of `_id`: the map of the documents, whose key is the `_id`. */
    private static final class IdIndex extends AbstractUniqueIndex<Object> {
        private final MVMap<Object, Document> documents;

        IdIndex(MVMap<Object, Document> documents, String name, List<IndexKey> keys) {
            super(name, keys, false);
            this.documents = documents;
            if (!keySet().equals(Set.of("_id"))) {
                throw new UnsupportedOperationException("expected an index of _id, not of " + keys);
            }
        }

        @Override public boolean canHandle(Document query) {
            return query.containsKey("_id") && super.canHandle(onlyId(query));
        }

        /** The documents whose `_id` matches. The collection compares the other fields. */
        @Override public Iterable<Object> getPositions(Document query) {
            return super.getPositions(onlyId(query));
        }

        private static Document onlyId(Document query) {
            return new Document("_id", query.get("_id"));
        }

        @Override protected Object getPosition(KeyValue id) {
            return id.get(0) != null && documents.containsKey(id.get(0)) ? id.get(0) : null;
        }

        /** Refuses what an index would have to compare by value, such as 1 and 1.0. */
        @Override public void checkAdd(Document document, MongoCollection<Object> collection) {
            Object id = document.get("_id");
            if (!(id instanceof String) && !(id instanceof ObjectId)) {
                throw new BadValueException("expected a text or an ObjectId as _id: " + id);
            }
            super.checkAdd(document, collection);
        }

        /** Does nothing: the collection has added the document to its map. */
        @Override public void add(Document document, Object id, MongoCollection<Object> in) {}

        /** Returns the `_id` only: the collection removes the document from its map. */
        @Override protected Object removeDocument(KeyValue id) {
            return getPosition(id);
        }

        @Override protected boolean putKeyPosition(KeyValue id, Object position) {
            throw new UnsupportedOperationException();
        }

        @Override protected Iterable<Map.Entry<KeyValue, Object>> getIterable() {
            var ids = documents.keySet();
            return () -> ids.stream().map(id -> Map.entry(new KeyValue(id), id)).iterator();
        }

        @Override public long getCount() { return documents.sizeAsLong(); }

        @Override public long getDataSize() { return getCount(); }
    }

    /** Writes documents as BSON. */
    private static final class Bson extends BasicDataType<Document> {
        /** Of a document in memory. Few documents share a page, which is written as a whole. */
        private static final int BYTES = 4_000;

        @Override public int getMemory(Document document) {
            return BYTES;
        }

        @Override public void write(WriteBuffer out, Document document) {
            ByteBuf bson = Unpooled.buffer(1024);
            BsonEncoder.encodeDocument(document, bson);
            out.put(bson.nioBuffer());
        }

        @Override public Document read(ByteBuffer in) {
            ByteBuf bson = Unpooled.wrappedBuffer(in);
            Document document = BsonDecoder.decodeBson(bson);
            in.position(in.position() + bson.readerIndex());
            return document;
        }

        @Override public Document[] createStorage(int size) {
            return new Document[size];
        }

        @Override public int compare(Document one, Document other) {
            throw new UnsupportedOperationException();
        }
    }
}
