/// RabbitMQ with its STOMP plugin; durable queues, persistent messages, receipts are confirms.
struct RabbitMQPeer: Peer {
    let name = PeerName.rabbitmq
    let program = (
        path: "/usr/lib/rabbitmq/bin/rabbitmq-server", source: "apt-get install rabbitmq-server"
    )
    // Its start takes seconds of CPU.
    let startsFresh = false

    func start(in directory: String, configuration: String) throws -> RunningServer {
        let ports = try Ports.free(4)
        try Files.write("[rabbitmq_stomp].\n", to: "\(directory)/enabled_plugins")
        try Files.write(
            """
            listeners.tcp.1 = 127.0.0.1:\(ports[1])
            stomp.listeners.tcp.1 = 127.0.0.1:\(ports[0])
            loopback_users.guest = true
            disk_free_limit.absolute = 1GB
            log.console = true
            log.console.level = warning
            log.file = false

            """,
            to: "\(directory)/rabbitmq.conf"
        )
        let nameServer = try ChildProcess(
            ["epmd", "-address", "127.0.0.1", "-port", "\(ports[2])"],
            log: "\(directory)/epmd.log"
        )
        let environment = [
            "HOME": directory,
            // With it the start script becomes the server instead of staying its parent.
            "NOTIFY_SOCKET": "/nonexistent",
            "RABBITMQ_NODENAME": "radiatorbench@localhost",
            "RABBITMQ_MNESIA_BASE": "\(directory)/data",
            "RABBITMQ_LOG_BASE": "\(directory)/logs",
            "RABBITMQ_CONFIG_FILE": "\(directory)/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "\(directory)/enabled_plugins",
            "RABBITMQ_DIST_PORT": "\(ports[3])",
            "ERL_EPMD_PORT": "\(ports[2])",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        ]
        let watch = Stopwatch()
        let process = try ChildProcess(
            [program.path],
            environment: environment,
            log: "\(directory)/log"
        )
        try Ports.wait(for: ports[0], .stomp, of: process)
        return RunningServer(
            process: process,
            port: ports[0],
            wire: .stomp,
            startSeconds: watch.seconds,
            helpers: [nameServer]
        )
    }
}
