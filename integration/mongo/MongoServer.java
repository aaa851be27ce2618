// mongo-java-server on an H2 file: MongoDB's wire protocol for the native stack and for
// `integration/compose`. Run as
// `java -cp 'jars/*' MongoServer.java PORT FILE [ADDRESS [CERTIFICATE KEY]]`.
// Without an address it listens on loopback. With a certificate and its key (of an elliptic curve,
// PKCS8), both PEM, it accepts only TLS. It has no transactions, no pipeline updates and no bulk API
// (see ../README.md).

import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.List;

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

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        H2Backend backend = new H2Backend(args[1]) {
            /**
             * Writes to the file before the answer, as MongoDB's journal does. By itself H2 writes once
             * a second.
             */
            @Override public Document handleMessage(MongoMessage message) {
                Document answer = super.handleMessage(message);
                commit();
                return answer;
            }
        };
        backend.version(VERSION);
        server = new de.bwaldvogel.mongo.MongoServer(backend);
        String address = args.length > 2 ? args[2] : "127.0.0.1";
        if (args.length > 4) {
            encrypt(Path.of(args[3]), Path.of(args[4]));
        }
        server.bind(address, port);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.shutdownNow()));
        System.out.println("listening on " + address + ":" + port + ", data in " + args[1]);
        Thread.currentThread().join();
    }

    private static void encrypt(Path certificate, Path key) throws Exception {
        String pem = Files.readString(key).replaceAll("-----[A-Z ]+-----|\\s", "");
        byte[] der = Base64.getDecoder().decode(pem);
        PrivateKey privateKey = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        try (InputStream in = Files.newInputStream(certificate)) {
            var certificates = CertificateFactory.getInstance("X.509");
            server.enableSsl(privateKey, null, (X509Certificate) certificates.generateCertificate(in));
        }
    }
}
