/// ActiveMQ Classic; persistent messages in its KahaDB, which syncs before a receipt.
struct ActiveMQPeer: Peer {
    private static let home = "/usr/share/activemq"

    let name = PeerName.activemq
    let program = (path: "\(home)/bin/activemq.jar", source: "apt-get install activemq")
    // Its start takes seconds of CPU.
    let startsFresh = false
    // The virtual machine compiles what it has run often.
    let warmUpSeconds = 10.0

    func start(in directory: String, configuration: String) throws -> RunningServer {
        let port = try Ports.free(1)[0]
        try Files.makeDirectory("\(directory)/tmp")
        try Files.write(
            Self.settings(directory: directory, port: port),
            to: "\(directory)/broker.xml"
        )
        let watch = Stopwatch()
        let process = try ChildProcess(
            [
                "java", "-Xms1g", "-Xmx1g", "-Djava.io.tmpdir=\(directory)/tmp",
                "-Dactivemq.home=\(Self.home)", "-Dactivemq.base=\(directory)",
                "-Dactivemq.conf=\(directory)", "-Dactivemq.data=\(directory)/data", "-jar",
                program.path, "start", "xbean:file:\(directory)/broker.xml",
            ],
            log: "\(directory)/log"
        )
        try Ports.wait(for: port, .stomp, of: process)
        return RunningServer(
            process: process,
            port: port,
            wire: .stomp,
            startSeconds: watch.seconds
        )
    }

    private static func settings(directory: String, port: Int) -> String {
        """
        <beans xmlns="http://www.springframework.org/schema/beans"
               xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
               xsi:schemaLocation="http://www.springframework.org/schema/beans
                 http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
                 http://activemq.apache.org/schema/core
                 http://activemq.apache.org/schema/core/activemq-core.xsd">
          <broker xmlns="http://activemq.apache.org/schema/core" brokerName="radiator-bench"
                  useJmx="false" dataDirectory="\(directory)/data">
            <persistenceAdapter><kahaDB directory="\(directory)/data/kahadb"/></persistenceAdapter>
            <transportConnectors>
              <transportConnector name="stomp" uri="stomp://127.0.0.1:\(port)"/>
            </transportConnectors>
          </broker>
        </beans>

        """
    }
}
