import Base
import Broker
import Testing

@testable import Server

@Suite struct ConfigurationTests {
    @Test("the empty file gives the defaults")
    func empty() throws {
        #expect(try Configuration.parse("") == Configuration())
    }

    @Test("no file at all gives the defaults")
    func noFile() throws {
        #expect(try Configuration.load(.init(), environment: [:]) == Configuration())
    }

    @Test("values of every section arrive in their fields")
    func values() throws {
        let configuration = try Configuration.parse(
            """
            [storage]
            directory = "/var/lib/radiator"
            fsync = "50ms"
            segment_size = "1MiB"
            [[listen]]
            address = "0.0.0.0:1"
            [[listen]]
            address = "[::1]:2"
            [create]
            allow = []
            [stomp]
            heart_beat_send = "0s"
            max_headers = 5
            [limits]
            transaction_age = "1m"
            [log]
            level = "debug"
            format = "json"
            """
        )
        #expect(configuration.storage.directory == "/var/lib/radiator")
        #expect(configuration.storage.fsync == .every(.milliseconds(50)))
        #expect(configuration.storage.segmentSize == ByteCount(1 << 20))
        #expect(configuration.listen.map(\.address.description) == ["0.0.0.0:1", "[::1]:2"])
        #expect(configuration.create.allow.isEmpty)
        #expect(configuration.stomp.heartBeatSend == .zero)
        #expect(configuration.stomp.maxHeaders == 5)
        #expect(configuration.limits.transactionAge == .seconds(60))
        #expect("\(configuration.log.level)" == "debug")
        #expect(configuration.log.format == .json)
    }

    @Test("a queue starts from the defaults, whatever their order in the file")
    func queueDefaults() throws {
        let configuration = try Configuration.parse(
            """
            [[queue]]
            name = "/queue/a"
            overflow = "reject"
            [defaults]
            storage = "memory"
            max_messages = 7
            overflow = "drop_oldest"
            prefetch = 3
            """
        )
        let queue = try #require(configuration.queue.first)
        #expect(queue.storage == .memory)
        #expect(queue.maxMessages == 7)
        #expect(queue.overflow == .reject)
        #expect(queue.prefetch == nil)
        #expect(configuration.defaults.prefetch == 3)
    }

    @Test("the environment overrides the file, the command line both")
    func precedence() throws {
        let text = "[storage]\ndirectory = \"file\"\nfsync = \"never\"\n[stomp]\nmax_headers = 3"
        let configuration = try Configuration.parse(
            text,
            .init(config: "radiator.toml", data: "line", listen: ["127.0.0.1:0"]),
            environment: [
                "RADIATOR_STORAGE_DIRECTORY": "environment", "RADIATOR_STORAGE_FSYNC": "always",
                "RADIATOR_STOMP_MAX_HEADERS": "9", "RADIATOR_STOMP_SERVICE_HOST": "10.0.0.1",
                "RADIATOR_SIMULATION_SEEDS": "5", "PATH": "/bin",
            ]
        )
        #expect(configuration.storage.directory == "line")
        #expect(configuration.storage.fsync == .always)
        #expect(configuration.stomp.maxHeaders == 9)
        #expect(configuration.listen.map(\.address) == [ListenAddress(host: "127.0.0.1", port: 0)])
    }

    @Test("the environment's defaults reach the declared queues")
    func environmentDefaults() throws {
        let configuration = try Configuration.parse(
            "[[queue]]\nname = \"/queue/a\"",
            environment: ["RADIATOR_DEFAULTS_MAX_MESSAGES": "4"]
        )
        #expect(configuration.queue.map(\.maxMessages) == [4])
    }
}

@Suite struct ConfigurationBrokerSettingsTests {
    @Test("the defaults of the file are the defaults of the broker")
    func defaults() {
        #expect(Configuration().brokerSettings == BrokerSettings())
    }

    @Test("rules keep their names, patterns and options")
    func rules() throws {
        let settings = try Configuration.parse(
            """
            [defaults]
            prefetch = 2
            [[queue]]
            name = "/queue/a"
            prefetch = 10
            max_bytes = "1KiB"
            overflow = "drop_oldest"
            [[queue]]
            match = "/queue/m.>"
            storage = "memory"
            [[fanout]]
            name = "/fanout/f"
            children = ["/queue/a", "/queue/m.x"]
            [[topic]]
            name = "/topic/t"
            buffer = "2KiB"
            slow_consumer = "disconnect"
            """
        ).brokerSettings
        #expect(settings.prefetch == 2)
        #expect(settings.queues.map(\.pattern) == ["/queue/a", "/queue/m.>"])
        #expect(settings.queues.map(\.isPattern) == [false, true])
        #expect(settings.queues[0].policy.prefetch == 10)
        #expect(settings.queues[0].policy.bytesMax == 1024)
        #expect(settings.queues[0].policy.overflow == .dropOldest)
        #expect(settings.queues[1].policy.storage == .memory)
        #expect(settings.queues[1].policy.bytesMax == BrokerSettings.memoryQueueBytesDefault)
        #expect(settings.fanouts.map(\.children) == [["/queue/a", "/queue/m.x"]])
        #expect(settings.topics[0].policy.bufferBytes == 2048)
        #expect(settings.topics[0].policy.slowConsumer == .disconnect)
    }

    @Test("limits arrive in the broker's limits")
    func limits() throws {
        let settings = try Configuration.parse(
            """
            [limits]
            connections = 1
            subscriptions_per_connection = 2
            transaction_messages = 3
            transaction_bytes = "4KiB"
            transaction_age = "5s"
            """
        ).brokerSettings
        #expect(settings.limits.connections == 1)
        #expect(settings.limits.subscriptionsPerConnection == 2)
        #expect(settings.limits.transactionMessages == 3)
        #expect(settings.limits.transactionBytes == 4096)
        #expect(settings.limits.transactionAge == .seconds(5))
    }
}

@Suite struct ListenAddressTests {
    @Test(
        "an address is read and printed alike",
        arguments: ["127.0.0.1:61613", "[::1]:0", "localhost:65535", "broker-1.example:1"]
    )
    func reads(text: String) {
        #expect(ListenAddress(parsing: text)?.description == text)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", "61613", ":61613", "localhost", "localhost:", "localhost:65536", "localhost:-1",
            "::1:61613", "[::1]", "[localhost]:1", "a b:1", "localhost:1x", "tcp://localhost:1",
        ]
    )
    func refuses(text: String) {
        #expect(ListenAddress(parsing: text) == nil)
    }
}
