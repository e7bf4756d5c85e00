import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * A receiver of webhooks: verifies, keeps each delivery once, answers at once, applies in order.
 *
 * <pre>WEBHOOK_SECRET=whsec_… PORT=8080 INBOX=./inbox java -cp gson.jar Receiver.java</pre>
 *
 * Needs Java 17 and Gson. With Spring take the body as {@code @RequestBody byte[]}: the bytes are
 * signed, not the object that is made of them.
 */
public final class Receiver {
    private static final Path INBOX = Path.of(setting("INBOX", "inbox"));
    private static final Path DELIVERIES = INBOX.resolve("deliveries");
    private static final Path DONE = INBOX.resolve("done");
    private static final Path ORDERS = INBOX.resolve("orders");
    private static final long TOLERANCE_SECONDS = 300;
    private static final int LARGEST_BODY = 1024 * 1024;
    private static final LinkedBlockingQueue<String> ARRIVED = new LinkedBlockingQueue<>();
    private static final byte[] SECRET =
        Base64.getDecoder().decode(setting("WEBHOOK_SECRET", "").replaceFirst("^whsec_", ""));

    private record Change(String id, JsonObject body) {
        long sequence() {
            JsonElement sequence = body.get("sequence");
            return sequence == null || sequence.isJsonNull() ? 0 : sequence.getAsLong();
        }

        long order() {
            return body.getAsJsonObject("data").getAsJsonObject("order").get("id").getAsLong();
        }
    }

    public static void main(String[] arguments) throws IOException {
        for (Path folder : List.of(DELIVERIES, DONE, ORDERS)) {
            Files.createDirectories(folder);
        }
        Thread worker = new Thread(Receiver::work);
        worker.setDaemon(true);
        worker.start();
        int port = Integer.parseInt(setting("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", Receiver::receive);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.start();
    }

    /** Verifies, keeps and answers; the work is done behind the answer. */
    private static void receive(HttpExchange exchange) throws IOException {
        try (exchange) {
            int status;
            try {
                status = status(exchange);
            } catch (IOException | GeneralSecurityException error) {
                error.printStackTrace();
                status = 500;
            }
            exchange.sendResponseHeaders(status, -1);
        }
    }

    private static int status(HttpExchange exchange) throws IOException, GeneralSecurityException {
        if (!exchange.getRequestMethod().equals("POST")) {
            return 405;
        }
        byte[] body = exchange.getRequestBody().readNBytes(LARGEST_BODY + 1);
        if (body.length > LARGEST_BODY) {
            return 413;
        }
        if (!isVerified(exchange.getRequestHeaders(), body)) {
            System.out.println("refused");
            return 401;
        }
        String id = exchange.getRequestHeaders().getFirst("webhook-id");
        System.out.println((keep(id, body) ? "accepted " : "duplicate ") + id);
        ARRIVED.add(id);
        return 204;
    }

    /** Tells whether a request is signed with the secret, and not older than five minutes. */
    private static boolean isVerified(Headers headers, byte[] body)
            throws GeneralSecurityException {
        String id = first(headers, "webhook-id");
        String timestamp = first(headers, "webhook-timestamp");
        if (!id.matches("[\\w-]{1,100}") || !timestamp.matches("[0-9]{1,12}")) {
            return false;
        }
        long age = Instant.now().getEpochSecond() - Long.parseLong(timestamp);
        if (Math.abs(age) > TOLERANCE_SECONDS) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(SECRET, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] expected = bytes("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body)));
        // Several, while a secret is being replaced.
        return Stream.of(first(headers, "webhook-signature").split(" "))
            .anyMatch(given -> MessageDigest.isEqual(bytes(given), expected));
    }

    private static String first(Headers headers, String name) {
        return Optional.ofNullable(headers.getFirst(name)).orElse("");
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Writes a delivery to the disk under its id; returns whether it is new. */
    private static boolean keep(String id, byte[] body) throws IOException {
        Path temporary = Files.createTempFile(INBOX, "new", "");
        try {
            try (FileChannel file = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                for (ByteBuffer left = ByteBuffer.wrap(body); left.hasRemaining(); ) {
                    file.write(left);
                }
                file.force(true);
            }
            // It is there whole or not at all, and only once.
            Files.createLink(DELIVERIES.resolve(id), temporary);
            return true;
        } catch (FileAlreadyExistsException known) {
            return false;
        } finally {
            Files.delete(temporary);
        }
    }

    /** Applies what was kept, for ever. */
    private static void work() {
        while (true) {
            try {
                for (Change change : waiting()) {
                    apply(change);
                    Files.createFile(DONE.resolve(change.id()));
                }
                ARRIVED.poll(1, TimeUnit.SECONDS);
            } catch (IOException error) {
                error.printStackTrace();
            } catch (InterruptedException stopped) {
                return;
            }
        }
    }

    private static List<Change> waiting() throws IOException {
        List<Change> changes = new ArrayList<>();
        try (Stream<Path> kept = Files.list(DELIVERIES)) {
            for (Path path : kept.toList()) {
                String id = path.getFileName().toString();
                if (Files.notExists(DONE.resolve(id))) {
                    String text = Files.readString(path);
                    changes.add(new Change(id, JsonParser.parseString(text).getAsJsonObject()));
                }
            }
        }
        changes.sort(Comparator.comparingLong(Change::sequence));
        return changes;
    }

    /** Applies a change of an order, unless a later one was applied before. */
    private static void apply(Change change) throws IOException {
        JsonElement data = change.body().get("data");
        if (data == null || !data.isJsonObject() || !data.getAsJsonObject().has("order")) {
            System.out.println("put aside " + change.body().get("event"));
            return;
        }
        String event = change.body().get("event").getAsString().replace('/', '_');
        Path state = ORDERS.resolve(event + "-" + change.order());
        long last = Files.exists(state) ? Long.parseLong(Files.readString(state)) : 0;
        if (change.sequence() != 0 && change.sequence() <= last) {
            System.out.println("stale " + change.order() + " " + change.sequence());
            return;
        }
        // Your own work is here. It may be done again after a crash.
        System.out.println("applied " + change.order() + " " + change.sequence());
        Files.writeString(state, Long.toString(Math.max(change.sequence(), last)));
    }

    private static String setting(String name, String otherwise) {
        return Optional.ofNullable(System.getenv(name)).filter(it -> !it.isEmpty()).orElse(otherwise);
    }
}
