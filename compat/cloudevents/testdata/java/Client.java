import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.data.BytesCloudEventData;
import io.cloudevents.core.provider.EventFormatProvider;
import io.cloudevents.http.HttpMessageFactory;
import io.cloudevents.http.impl.HttpMessageWriter;
import io.cloudevents.jackson.JsonCloudEventData;
import io.cloudevents.jackson.JsonFormat;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Base64;

/**
 * Sends events with the Java SDK of CloudEvents, as its pages show, and prints
 * what a sender makes of the answers. Input and output are those of client.py.
 */
public final class Client {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static CloudEvent eventOf(JsonNode e) throws Exception {
    CloudEventBuilder b = CloudEventBuilder.v1().withId(e.get("id").asText()).withSource(URI.create(e.get("source").asText())).withType(e.get("type").asText());
    if (e.has("subject")) {
      b.withSubject(e.get("subject").asText());
    }
    if (e.has("time")) {
      b.withTime(OffsetDateTime.parse(e.get("time").asText()));
    }
    if (e.has("extensions")) {
      for (Map.Entry<String, JsonNode> x : e.get("extensions").properties()) {
        b.withExtension(x.getKey(), x.getValue().asText());
      }
    }
    String media = e.path("datacontenttype").asText("application/json");
    if (e.has("bytes")) {
      b.withData(media, BytesCloudEventData.wrap(Base64.getDecoder().decode(e.get("bytes").asText())));
    } else if (e.has("data")) {
      b.withData(media, JsonCloudEventData.wrap(e.get("data")));
    }
    return b.build();
  }

  private static ObjectNode send(JsonNode job, JsonNode call) throws Exception {
    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(job.get("url").asText())).header("Authorization", "Bearer " + job.get("token").asText());
    List<CloudEvent> events = new ArrayList<>();
    for (JsonNode e : call.get("events")) {
      events.add(eventOf(e));
    }
    String mode = call.get("mode").asText();
    if (mode.equals("batch")) { // the SDK writes events, not batches of them
      ByteArrayOutputStream body = new ByteArrayOutputStream();
      for (CloudEvent e : events) {
        body.write(body.size() == 0 ? '[' : ',');
        body.write(EventFormatProvider.getInstance().resolveFormat(JsonFormat.CONTENT_TYPE).serialize(e));
      }
      body.write(']');
      request.header("Content-Type", "application/cloudevents-batch+json").POST(HttpRequest.BodyPublishers.ofByteArray(body.toByteArray()));
    } else {
      HttpMessageWriter writer = HttpMessageFactory.createWriter(request::header,
          body -> request.POST(body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body)));
      if (mode.equals("binary")) {
        writer.writeBinary(events.get(0));
      } else {
        writer.writeStructured(events.get(0), JsonFormat.CONTENT_TYPE);
      }
    }
    HttpResponse<String> answer = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
    ObjectNode value = JSON.createObjectNode();
    value.put("delivered", answer.statusCode() < 300).put("status", answer.statusCode()).put("body", answer.body());
    return JSON.createObjectNode().set("value", value);
  }

  public static void main(String[] args) throws Exception {
    JsonNode job = JSON.readTree(System.in);
    ArrayNode results = JSON.createArrayNode();
    for (JsonNode call : job.get("calls")) {
      try {
        results.add(send(job, call));
      } catch (Exception e) { // of the SDK: the test wants to see it
        results.add(JSON.createObjectNode().put("error", e.toString()));
      }
    }
    System.out.write(JSON.writeValueAsBytes(results));
    System.out.flush();
  }
}
