import java.nio.file.Path;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/** Serves a Neo4j database over Bolt until its standard input ends: java -cp 'lib/*' Serve.java FOLDER PORT. */
public class Serve {
    public static void main(String[] arguments) throws Exception {
        var service = new DatabaseManagementServiceBuilder(Path.of(arguments[0]).toAbsolutePath().normalize())
            .setConfig(GraphDatabaseSettings.auth_enabled, true)
            .setConfig(BoltConnector.enabled, true)
            .setConfig(BoltConnector.listen_address, new SocketAddress("127.0.0.1", Integer.parseInt(arguments[1])))
            .build();
        System.out.println("ready");
        System.in.transferTo(java.io.OutputStream.nullOutputStream());
        service.shutdown();
        System.exit(0);
    }
}
