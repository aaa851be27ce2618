// The Kafka Streams peer of `integration/bench system`: the topology of ShopTopology with
// exactly_once_v2 behind Java's own HTTP server, in one process. `POST /v1/orders` is answered when
// the event of the order's end is committed and its view is in a state store.
//
//     ShopServer BROKERS STATE_FOLDER COMMIT_MS THREADS
//
// It has no users (a token is the caller's name), checks no password and no input, limits no
// client, and lists at most 50 orders or products. Stock is shown as a task has it, perhaps before
// its commit. Views are those of this process: a second instance would be asked for its own.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import shop.Line;
import shop.Order;
import shop.PlaceOrder;
import shop.Stock;
import shop.StockAction;
import shop.StockCommand;

public final class ShopServer {
    private static final int PAGE = 50;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Requests that wait for the view of an order, by the view's key. */
    private final Map<String, CompletableFuture<Void>> waiting = new ConcurrentHashMap<>();
    private final ExecutorService threads = Executors.newFixedThreadPool(8);
    private final KafkaStreams streams;
    private final KafkaProducer<String, byte[]> producer;
    private final Avro<PlaceOrder> place = ShopTopology.place();
    private final Avro<StockCommand> stockCommand = ShopTopology.stockCommand();

    private record Answer(int status, String location, Object body) {}

    private ShopServer(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "streams.shop");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[1]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[2]);
        // An idle thread commits only after it has waited this long for records.
        settings.put(StreamsConfig.POLL_MS_CONFIG, arguments[2]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[3]);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ProducerConfig.LINGER_MS_CONFIG, 0);
        streams = new KafkaStreams(ShopTopology.build(this::ended), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Properties commands = new Properties();
        commands.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        commands.put(ProducerConfig.ACKS_CONFIG, "all");
        commands.put(ProducerConfig.LINGER_MS_CONFIG, 0);
        producer = new KafkaProducer<>(commands, new StringSerializer(), new ByteArraySerializer());
    }

    private void ended(String view) {
        var waits = waiting.get(view);
        if (waits != null) waits.complete(null);
    }

    private <T> ReadOnlyKeyValueStore<String, T> store(String name) {
        var type = QueryableStoreTypes.<String, T>keyValueStore();
        return streams.store(StoreQueryParameters.fromNameAndType(name, type));
    }

    private CompletableFuture<Void> send(String topic, String key, byte[] value) {
        var sent = new CompletableFuture<Void>();
        producer.send(new ProducerRecord<>(topic, key, value), (written, error) -> {
            if (error == null) sent.complete(null);
            else sent.completeExceptionally(error);
        });
        return sent;
    }

    private CompletableFuture<Void> stock(String sku, StockAction action, long quantity) {
        byte[] value = stockCommand.serialize(null, new StockCommand(action, quantity, ""));
        return send(ShopTopology.STOCK_COMMANDS, sku, value);
    }

    private CompletableFuture<Answer> placeOrder(String user, JsonNode body, long seconds) {
        String id = UUID.randomUUID().toString(), key = ShopTopology.view(user, id);
        List<Line> lines = new ArrayList<>();
        for (var line : body.get("lines")) {
            lines.add(new Line(line.get("sku").asText(), line.get("quantity").asLong()));
        }
        byte[] value = place.serialize(null, new PlaceOrder(user, lines));
        var ended = new CompletableFuture<Void>();
        waiting.put(key, ended);
        return send(ShopTopology.PLACE, id, value)
            .thenCompose(sent -> ended.completeOnTimeout(null, seconds, TimeUnit.SECONDS))
            .whenComplete((done, error) -> waiting.remove(key))
            .thenApplyAsync(done -> {
                Order order = this.<Order>store(ShopTopology.VIEWS).get(key);
                var shown = order == null ? Map.of("id", id) : shown(id, order);
                return new Answer(order == null ? 202 : 201, "/v1/orders/" + id, shown);
            }, threads);
    }

    private static Map<String, Object> shown(String id, Order order) {
        var lines = order.getLines().stream().map(ShopServer::shown).toList();
        return Map.of("id", id, "status", order.getStatus().name().toLowerCase(), "lines", lines);
    }

    private static Map<String, Object> shown(Line line) {
        return Map.of("sku", line.getSku().toString(), "quantity", line.getQuantity());
    }

    private static Map<String, Object> shown(String sku, Stock stock) {
        return Map.of("sku", sku, "available", stock.getAvailable());
    }

    private static <T> Answer page(
            KeyValueIterator<String, T> all, BiFunction<String, T, ?> shown) {
        List<Object> items = new ArrayList<>();
        try (all) {
            while (items.size() < PAGE && all.hasNext()) {
                var one = all.next();
                items.add(shown.apply(one.key, one.value));
            }
        }
        return new Answer(200, null, Map.of("items", items));
    }

    private Answer listOrders(String user) {
        String prefix = ShopTopology.view(user, "");
        ReadOnlyKeyValueStore<String, Order> views = store(ShopTopology.VIEWS);
        return page(views.prefixScan(prefix, new StringSerializer()),
            (key, order) -> shown(key.substring(prefix.length()), order));
    }

    private Answer listProducts() {
        return page(this.<Stock>store(ShopTopology.STOCK).all(), ShopServer::shown);
    }

    /** The commits of all threads, each of which is a transaction, as Prometheus reads them. */
    private String metrics() {
        double commits = 0;
        for (var metric : streams.metrics().entrySet()) {
            var name = metric.getKey();
            if (!name.group().equals("stream-thread-metrics")) continue;
            if (!name.name().equals("commit-total")) continue;
            commits += (double) metric.getValue().metricValue();
        }
        return "streams_commits_total " + commits + "\n";
    }

    private CompletableFuture<Answer> route(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        String id = path.replaceAll("^/v1/[a-z]+/?|/stock$", "");
        var headers = exchange.getRequestHeaders();
        String token = headers.getFirst("authorization"), prefer = headers.getFirst("prefer");
        String user = token == null ? "" : token.substring("Bearer ".length());
        byte[] text = exchange.getRequestBody().readAllBytes();
        JsonNode body = JSON.readTree(text.length == 0 ? "{}".getBytes() : text);
        String name = body.path("email").asText(), sku = body.path("sku").asText();
        if (exchange.getRequestMethod().equals("POST")) {
            switch (path) {
                case "/v1/users": return answer(201, Map.of("id", name));
                case "/v1/sessions": return answer(200, Map.of("access_token", name));
                case "/v1/products": return changed(201, stock(sku, StockAction.ADD, 0));
                case "/v1/orders":
                    String seconds = prefer == null ? "0" : prefer.replaceAll(".*wait=", "");
                    return placeOrder(user, body, Long.parseLong(seconds));
                default:
                    if (!path.endsWith("/stock")) return answer(404, Map.of());
                    long quantity = body.path("quantity").asLong();
                    return changed(200, stock(id, StockAction.RECEIVE, quantity));
            }
        }
        switch (path) {
            case "/metrics": return answer(200, metrics());
            case "/v1/products": return CompletableFuture.completedFuture(listProducts());
            case "/v1/orders": return CompletableFuture.completedFuture(listOrders(user));
            default:
        }
        if (path.startsWith("/v1/products/")) {
            Stock stock = this.<Stock>store(ShopTopology.STOCK).get(id);
            if (stock != null) return answer(200, shown(id, stock));
        } else if (path.startsWith("/v1/orders/")) {
            Order order = this.<Order>store(ShopTopology.VIEWS).get(ShopTopology.view(user, id));
            if (order != null) return answer(200, shown(id, order));
        }
        return answer(404, Map.of());
    }

    private static CompletableFuture<Answer> answer(int status, Object body) {
        return CompletableFuture.completedFuture(new Answer(status, null, body));
    }

    private static CompletableFuture<Answer> changed(int status, CompletableFuture<Void> sent) {
        return sent.thenApply(done -> new Answer(status, null, Map.of()));
    }

    private void handle(HttpExchange exchange) {
        CompletableFuture<Answer> answered;
        try {
            answered = route(exchange);
        } catch (IOException | RuntimeException error) {
            answered = CompletableFuture.failedFuture(error);
        }
        // No thread waits with the request.
        answered.exceptionally(error -> new Answer(500, null, Map.of("error", error.toString())))
            .thenAccept(answer -> respond(exchange, answer));
    }

    private static void respond(HttpExchange exchange, Answer answer) {
        try (exchange) {
            byte[] body = answer.body() instanceof String text
                ? text.getBytes(StandardCharsets.UTF_8) : JSON.writeValueAsBytes(answer.body());
            var headers = exchange.getResponseHeaders();
            headers.set("content-type", "application/json");
            if (answer.location() != null) headers.set("location", answer.location());
            exchange.sendResponseHeaders(answer.status(), body.length);
            exchange.getResponseBody().write(body);
        } catch (IOException error) {
            // The client has gone.
        }
    }

    public static void main(String[] arguments) throws Exception {
        // Without it each response waits for the client's delayed acknowledgement.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("sun.net.httpserver.maxIdleConnections", "10000");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            List<NewTopic> topics = new ArrayList<>();
            for (var name : ShopTopology.TOPICS) topics.add(new NewTopic(name, 4, (short) 1));
            admin.createTopics(topics).all().get();
        } catch (ExecutionException error) {
            if (!(error.getCause() instanceof TopicExistsException)) throw error;
        }
        var shop = new ShopServer(arguments);
        var running = new CompletableFuture<Void>();
        shop.streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) running.complete(null);
        });
        var leave = CloseOptions.groupMembershipOperation(GroupMembershipOperation.LEAVE_GROUP)
            .withTimeout(Duration.ofSeconds(5));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> shop.streams.close(leave)));
        shop.streams.start();
        running.get(60, TimeUnit.SECONDS);
        var address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        var server = HttpServer.create(address, 1024);
        server.createContext("/", shop::handle);
        server.setExecutor(shop.threads);
        server.start();
        System.out.println("ready " + server.getAddress().getPort());
    }
}
