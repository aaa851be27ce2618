// The order path as a Kafka Streams topology: the order is stored, its stock is reserved, it is
// confirmed, and the user is notified. Each hop is a transaction, because it goes through a topic:
// PlaceOrder -> StockCommand (by SKU) -> StockReply (by order) -> Order -> Notification.
//
// It does not release what other lines of a rejected order reserved, knows no time-outs, versions,
// cancellations, dead letters or parked keys, and keeps no outcomes: a request that a client
// repeats is a second order. A failing record stops the program.

import java.util.function.Consumer;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import shop.Notification;
import shop.Order;
import shop.PlaceOrder;
import shop.Status;
import shop.Stock;
import shop.StockAction;
import shop.StockCommand;
import shop.StockReply;

final class ShopTopology {
    static final String PLACE = "streams.order.commands";
    static final String REPLIES = "streams.order.followups";
    static final String EVENTS = "streams.order.events";
    static final String STOCK_COMMANDS = "streams.stock.commands";
    static final String NOTIFICATIONS = "streams.notification.events";
    static final String[] TOPICS = {PLACE, REPLIES, EVENTS, STOCK_COMMANDS, NOTIFICATIONS};
    /** Stock by SKU. */
    static final String STOCK = "stock";
    /** Ended orders by user and order: the read model. */
    static final String VIEWS = "views";
    private static final String ORDERS = "orders";

    /** What the topics hold. */
    static Avro<PlaceOrder> place() { return new Avro<>(1, PlaceOrder.class); }
    static Avro<StockCommand> stockCommand() { return new Avro<>(2, StockCommand.class); }
    static Avro<StockReply> reply() { return new Avro<>(3, StockReply.class); }
    static Avro<Order> order() { return new Avro<>(4, Order.class); }
    static Avro<Notification> notification() { return new Avro<>(5, Notification.class); }

    static String view(CharSequence user, String order) { return user + "/" + order; }

    /** {@code ended} gets the key of each view once its order's end is committed and stored. */
    static Topology build(Consumer<String> ended) {
        var keys = Serdes.String();
        return new Topology()
            .addSource("place", keys.deserializer(), place(), PLACE)
            .addSource("replies", keys.deserializer(), reply(), REPLIES)
            .addProcessor("order", OrderProcessor::new, "place", "replies")
            .addStateStore(store(ORDERS, 4, Order.class), "order")
            .addSink("reserve", STOCK_COMMANDS, keys.serializer(), stockCommand(), "order")
            .addSink("events", EVENTS, keys.serializer(), order(), "order")
            .addSource("stock-commands", keys.deserializer(), stockCommand(), STOCK_COMMANDS)
            .addProcessor("stock", StockProcessor::new, "stock-commands")
            .addStateStore(store(STOCK, 6, Stock.class), "stock")
            .addSink("reply", REPLIES, keys.serializer(), reply(), "stock")
            .addSource("ended", keys.deserializer(), order(), EVENTS)
            .addProcessor("notify", () -> new NotificationProcessor(ended), "ended")
            .addStateStore(store(VIEWS, 4, Order.class), "notify")
            .addSink("notifications", NOTIFICATIONS, keys.serializer(), notification(), "notify");
    }

    private static <T extends SpecificRecordBase> StoreBuilder<KeyValueStore<String, T>> store(
            String name, int id, Class<T> type) {
        var supplier = Stores.inMemoryKeyValueStore(name);
        return Stores.keyValueStoreBuilder(supplier, Serdes.String(), Avro.serde(id, type))
            .withCachingDisabled();
    }

    private abstract static class Base<I, O> implements Processor<String, I, String, O> {
        ProcessorContext<String, O> context;

        @Override
        public void init(ProcessorContext<String, O> context) { this.context = context; }

        void forward(CharSequence key, O value, Record<?, ?> cause, String sink) {
            context.forward(new Record<>(key.toString(), value, cause.timestamp()), sink);
        }
    }

    private static final class OrderProcessor extends Base<SpecificRecordBase, SpecificRecordBase> {
        @Override
        public void process(Record<String, SpecificRecordBase> record) {
            KeyValueStore<String, Order> orders = context.getStateStore(ORDERS);
            String id = record.key();
            if (record.value() instanceof PlaceOrder place) {
                var lines = place.getLines();
                var order = new Order(place.getUser(), lines, lines.size(), 0, Status.PENDING);
                orders.put(id, order);
                for (var line : lines) {
                    var reserve = new StockCommand(StockAction.RESERVE, line.getQuantity(), id);
                    forward(line.getSku(), reserve, record, "reserve");
                }
            } else if (record.value() instanceof StockReply reply) {
                Order order = orders.get(id);
                order.setOpen(order.getOpen() - 1);
                if (!reply.getGranted()) order.setRefused(order.getRefused() + 1);
                if (order.getOpen() == 0) {
                    order.setStatus(order.getRefused() > 0 ? Status.REJECTED : Status.CONFIRMED);
                    forward(id, order, record, "events");
                }
                orders.put(id, order);
            }
        }
    }

    private static final class StockProcessor extends Base<StockCommand, StockReply> {
        @Override
        public void process(Record<String, StockCommand> record) {
            KeyValueStore<String, Stock> stocks = context.getStateStore(STOCK);
            String sku = record.key();
            Stock stock = stocks.get(sku);
            long available = stock == null ? 0 : stock.getAvailable();
            var command = record.value();
            switch (command.getAction()) {
                case ADD -> { if (stock == null) stocks.put(sku, new Stock(0L)); }
                case RECEIVE -> stocks.put(sku, new Stock(available + command.getQuantity()));
                case RESERVE -> {
                    boolean granted = available >= command.getQuantity();
                    if (granted) stocks.put(sku, new Stock(available - command.getQuantity()));
                    forward(command.getOrder(), new StockReply(sku, granted), record, "reply");
                }
            }
        }
    }

    private static final class NotificationProcessor extends Base<Order, Notification> {
        private final Consumer<String> ended;

        NotificationProcessor(Consumer<String> ended) { this.ended = ended; }

        @Override
        public void process(Record<String, Order> record) {
            KeyValueStore<String, Order> views = context.getStateStore(VIEWS);
            var order = record.value();
            String key = view(order.getUser(), record.key());
            views.put(key, order);
            var text = "Your order is " + order.getStatus().name().toLowerCase();
            var notification = new Notification(order.getUser(), text);
            forward(order.getUser(), notification, record, "notifications");
            // The event was read committed, so the order has ended whatever becomes of this task.
            ended.accept(key);
        }
    }
}
