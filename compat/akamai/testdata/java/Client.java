import com.akamai.edgegrid.signer.ClientCredential;
import com.akamai.edgegrid.signer.EdgeGridV1Signer;
import com.akamai.edgegrid.signer.Request;
import java.net.URI;

/**
 * Signs requests with Akamai's own signer for Java. SIGN has one a line: client
 * token, access token, secret, host and URL, with tabs between them. Prints the
 * Authorization headers as an array of JSON.
 */
public class Client {
  public static void main(String[] args) throws Exception {
    StringBuilder out = new StringBuilder("[");
    for (String line : System.getenv("SIGN").split("\n")) {
      String[] f = line.split("\t");
      ClientCredential credential = ClientCredential.builder()
          .clientToken(f[0]).accessToken(f[1]).clientSecret(f[2]).host(f[3]).build();
      Request request = Request.builder().method("GET").uri(URI.create(f[4])).build();
      out.append(out.length() > 1 ? "," : "").append('"')
          .append(new EdgeGridV1Signer().getSignature(request, credential)).append('"');
    }
    System.out.println(out.append("]"));
  }
}
