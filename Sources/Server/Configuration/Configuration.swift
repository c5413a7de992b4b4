package import Base
package import Logging

/// Everything that an operator can set, with its default.
///
/// The file's `[section] some_key` is the field `section.someKey` here. `radiator.example.toml`
/// says when to change which; a test holds the two together.
package struct Configuration: Sendable, Equatable {
    package var storage = Storage()
    package var listen = [Listen()]
    package var create = Create()
    package var defaults = Defaults()
    package var queue: [Queue] = []
    package var fanout: [Fanout] = []
    package var topic: [Topic] = []
    package var stomp = StompSettings()
    package var limits = Limits()
    package var auth = Auth()
    package var permit: [Permit] = []
    package var log = Log()

    package init() {}

    /// Where messages are kept and how safely.
    package struct Storage: Sendable, Equatable {
        package var directory = "radiator-data"
        package var fsync = Fsync.always
        package var segmentSize = ByteCount(64 << 20)
        package var minFreeDisk = ByteCount(1 << 30)
        package var packBelowLive = 0.5
        package var compression = Compression.zstd
        package var retain = Interval.zero
        package var onDamage = OnDamage.quarantine
    }

    /// What a start does where it finds damage in the store.
    package enum OnDamage: String, Sendable, CaseIterable { case quarantine, refuse }

    /// How packed segments are stored.
    package enum Compression: String, Sendable, CaseIterable { case zstd, zlib, none }

    /// When a receipt may be given for a persistent message.
    package enum Fsync: Sendable, Equatable {
        case always
        case every(Interval)
        case never
    }

    /// One address to accept clients on.
    package struct Listen: Sendable, Equatable {
        package var `protocol` = ListenProtocol.stomp
        package var address = ListenAddress(host: "127.0.0.1", port: 61613)
        /// nil = plain TCP.
        package var tls: TLS?
        /// Whose pages may connect by WebSocket; empty = those of the host that is connected to.
        package var origins: [String] = []
    }

    /// The files that TLS needs, in PEM form.
    package struct TLS: Sendable, Equatable {
        /// The certificate, and behind it those that vouch for it.
        package var certificate = ""
        package var key = ""
        /// Certificates that must vouch for each client's; empty = clients need none.
        package var clientCA = ""
    }

    /// What is spoken on an address.
    package enum ListenProtocol: String, Sendable, CaseIterable { case stomp, websocket }

    /// What clients may create by using it.
    package struct Create: Sendable, Equatable {
        package var allow = ["/queue/>", "/topic/>"]
        /// What was created by being used goes when it was empty and unused for so long; zero = never.
        package var autoDeleteAfter = Interval.seconds(3600)
    }

    /// Where a queue keeps its messages.
    package enum QueueStorage: String, Sendable, CaseIterable { case persistent, memory }

    /// What happens to a message that a full queue cannot take.
    package enum Overflow: String, Sendable, CaseIterable {
        case reject
        case dropOldest = "drop_oldest"
    }

    /// What holds for every queue that does not say otherwise.
    package struct Defaults: Sendable, Equatable {
        package var storage = QueueStorage.persistent
        /// Unacknowledged messages per connection, over all its queue subscriptions.
        package var prefetch = 1
        /// 0 = no limit.
        package var maxMessages = 0
        /// 0 = no limit; 64 MiB for a memory queue.
        package var maxBytes = ByteCount(0)
        package var overflow = Overflow.reject
        package var ending = Ending()
    }

    /// When a delivery or a message is over, and what becomes of it then.
    package struct Ending: Sendable, Equatable {
        /// Zero = never.
        package var ackTimeout = Interval.seconds(30 * 60)
        package var ackTimeoutMax = Interval.seconds(12 * 3600)
        /// 0 = no limit.
        package var maxDeliveries = 20
        /// "" = drop and count.
        package var deadLetter = "/queue/dead"
        package var deadLetterExpired = false
        /// Empty = at once.
        package var requeueDelay: [Interval] = []
        /// Zero = for ever.
        package var messageTTL = Interval.zero
    }

    /// One queue, or all that a pattern matches: exactly one of `name` and `match` is set.
    package struct Queue: Sendable, Equatable {
        package var name = ""
        package var match = ""
        package var storage: QueueStorage
        /// Credit of each subscription to this queue; nil = the connection's shared credit.
        package var prefetch: Int?
        package var maxMessages: Int
        package var maxBytes: ByteCount
        package var overflow: Overflow
        package var ending: Ending

        package init(defaults: Defaults) {
            storage = defaults.storage
            maxMessages = defaults.maxMessages
            maxBytes = defaults.maxBytes
            overflow = defaults.overflow
            ending = defaults.ending
        }
    }

    /// A name that stores a message once, with an entry in each child queue.
    package struct Fanout: Sendable, Equatable {
        package var name = ""
        package var children: [String] = []
    }

    /// What happens to a topic's subscriber that does not read.
    package enum SlowConsumer: String, Sendable, CaseIterable { case drop, disconnect }

    /// One topic, or all that a pattern matches: exactly one of `name` and `match` is set.
    package struct Topic: Sendable, Equatable {
        package var name = ""
        package var match = ""
        /// Bytes that may wait for one subscriber.
        package var buffer = ByteCount(1 << 20)
        package var slowConsumer = SlowConsumer.drop
    }

    /// Bounds on what clients may take.
    package struct Limits: Sendable, Equatable {
        package var connections = 50_000
        /// 0 = no limit.
        package var connectionsPerUser = 0
        /// 0 = no limit.
        package var connectionsPerAddress = 0
        package var subscriptionsPerConnection = 1000
        package var temporaryQueuesPerConnection = 100
        package var destinations = 1_000_000
        package var transactionsPerConnection = 16
        package var transactionMessages = 10_000
        package var transactionBytes = ByteCount(64 << 20)
        package var transactionAge = Interval.seconds(300)
        package var openTransactionBytes = ByteCount(256 << 20)
        package var unfinishedFrameBytes = ByteCount(256 << 20)
    }

    /// How clients prove who they are.
    package enum AuthMethod: String, Sendable, CaseIterable { case none, file, certificate }

    /// Who is let in.
    package struct Auth: Sendable, Equatable {
        package var method = AuthMethod.none
        /// The file of users and their hashes, for `file`.
        package var users = "users.toml"
    }

    /// What one user may do; `*` is every user that has no entry of its own.
    package struct Permit: Sendable, Equatable {
        package var user = ""
        package var send: [String] = []
        package var subscribe: [String] = []
        package var create: [String] = []
    }

    /// What the log shows and how.
    package struct Log: Sendable, Equatable {
        package var level = Logger.Level.info
        package var format = LogFormat.text
    }

    /// The form of a log line.
    package enum LogFormat: String, Sendable, CaseIterable { case text, json }
}

/// What the STOMP sessions need to know; read by the session layer.
package struct StompSettings: Sendable, Equatable {
    /// How often the broker offers to send a beat; zero = never.
    package var heartBeatSend = Interval.seconds(10)
    /// How often the broker asks clients to send one; zero = never.
    package var heartBeatReceive = Interval.seconds(10)
    /// Largest body of a frame.
    package var maxBody = ByteCount(16 << 20)
    /// Most header lines of a frame.
    package var maxHeaders = 128
    /// Most bytes of all header lines of a frame.
    package var maxHeaderBytes = ByteCount(64 << 10)
    /// Time from the connection to its CONNECT frame.
    package var connectTimeout = Interval.seconds(10)

    package init() {}
}

extension Configuration.Listen {
    fileprivate var summary: String { "\(`protocol`) \(address)\(tls == nil ? "" : " with TLS")" }
}

extension Configuration {
    /// What `--check` prints for a sound configuration.
    package var summary: String {
        let fsync =
            switch storage.fsync {
            case .always: "always"
            case .every(let interval): "\(interval)"
            case .never: "never"
            }
        return """
            configuration ok
              data     \(storage.directory), fsync \(fsync)
              listen   \(listen.map(\.summary).joined(separator: ", "))
              auth     \(authSummary)
              create   \(create.allow.isEmpty ? "nothing" : create.allow.joined(separator: ", "))
              declared \(queue.count) queue rules, \(fanout.count) fan-outs, \(topic.count) topic rules
            """
    }

    private var authSummary: String {
        let method =
            switch auth.method {
            case .none: "none: everybody may do everything"
            case .file: "users in \(auth.users)"
            case .certificate: "client certificates"
            }
        guard auth.method != .none else { return method }
        return method + (permit.isEmpty ? ", each may do everything" : ", \(permit.count) permits")
    }
}
