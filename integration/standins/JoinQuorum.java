// Makes a broker of the stand-in for Redpanda a voter of the KRaft quorum, which Redpanda's brokers
// become by `--seeds`. Run it when the broker serves:
// `java -cp 'jars/kafka/*' JoinQuorum.java KAFKA.PROPERTIES META.PROPERTIES`.
// It does nothing for a voter.

import java.io.FileReader;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.RaftVoterEndpoint;
import org.apache.kafka.common.Uuid;

public final class JoinQuorum {
    public static void main(String[] args) throws Exception {
        Properties broker = read(args[0]);
        Uuid directory = Uuid.fromString(read(args[1]).getProperty("directory.id"));
        int node = Integer.parseInt(broker.getProperty("node.id"));
        String rpc = listener(broker, "RPC");
        String[] controller = listener(broker, "CONTROLLER").split(":");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", rpc))) {
            for (int left = 60; ; left--) {
                try {
                    var quorum = admin.describeMetadataQuorum().quorumInfo().get();
                    if (quorum.voters().stream().anyMatch(voter -> voter.replicaId() == node)) return;
                    var endpoint = new RaftVoterEndpoint("CONTROLLER", controller[0], Integer.parseInt(controller[1]));
                    admin.addRaftVoter(node, directory, Set.of(endpoint)).all().get();
                    System.out.println("node " + node + " is a voter");
                    return;
                } catch (Exception error) {
                    // Another broker is being added, or this one has not caught up yet.
                    if (left == 0) throw error;
                    Thread.sleep(1000);
                }
            }
        }
    }

    private static Properties read(String path) throws Exception {
        Properties properties = new Properties();
        try (FileReader reader = new FileReader(path)) { properties.load(reader); }
        return properties;
    }

    private static String listener(Properties broker, String name) {
        for (String listener : broker.getProperty("advertised.listeners").split(",")) {
            if (listener.startsWith(name + "://")) return listener.substring(name.length() + 3);
        }
        throw new IllegalArgumentException("no listener " + name);
    }
}
