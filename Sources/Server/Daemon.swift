import Base
import Broker
import Glibc
import LogStore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import StompCodec
import UnixSignals

/// The running daemon.
package enum Server {
    /// The version of radiator, as `--version` prints it.
    package static let version = Release.version

    /// Runs the broker until it is told to stop.
    ///
    /// Returns after a clean stop. Throws an error whose description is one clear line when it cannot
    /// start, or when the store has failed.
    ///
    /// `reload` reads the configuration again, when SIGHUP asks for it.
    package static func run(
        _ configuration: Configuration,
        reload: @escaping @Sendable () throws(ConfigurationError) -> Configuration
    ) async throws {
        let access = try configuration.loadAccess()
        let logSettings = LogSettings(configuration.log)
        let logger = LogOutput.makeLogger(logSettings)
        for warning in access.warnings { warning.log(logger) }
        let fileLimit = raiseFileLimit(logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let daemon = try await Daemon.start(
                configuration,
                access,
                group.next(),
                logger,
                fileLimit: fileLimit
            )
            let services = ServiceGroup(
                services: [
                    daemon,
                    HangupService(
                        daemon: daemon,
                        reload: reload,
                        configuration: configuration,
                        logger: logger,
                        logSettings: logSettings
                    ),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "lifecycle") { _ in SwiftLogNoOpLogHandler() }
            )
            try await services.run()
            try await group.shutdownGracefully()
        } catch {
            try await group.shutdownGracefully()
            throw StartError(describing: error)
        }
    }

    /// Takes as many open files as the system allows, and returns how many: every connection is one.
    private static func raiseFileLimit(_ logger: Logger) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return 1024
        }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            logger.warning("the limit of open files could not be raised")
        }
        return Int(clamping: limit.rlim_cur)
    }
}

/// Reads the configuration again when SIGHUP comes.
private struct HangupService: Service {
    let daemon: Daemon
    let reload: @Sendable () throws(ConfigurationError) -> Configuration
    let configuration: Configuration
    let logger: Logger
    let logSettings: LogSettings

    func run() async throws {
        // What holds; keys that need a restart keep differing from it until there is one.
        var current = configuration
        let signals = await UnixSignalsSequence(trapping: .sighup)
        if EarlyHangup.take() { await readAgain(&current) }
        for await _ in signals.cancelOnGracefulShutdown() { await readAgain(&current) }
    }

    private func readAgain(_ current: inout Configuration) async {
        do {
            current = try await apply(try reload(), current)
        } catch let error as ConfigurationError {
            for problem in error.problems {
                logger.error(
                    "configuration not reloaded",
                    metadata: [LogKeys.reason: "\(problem)"]
                )
            }
        } catch {
            logger.error("configuration not reloaded", metadata: [LogKeys.reason: "\(error)"])
        }
    }

    private func apply(
        _ newer: Configuration,
        _ current: Configuration
    ) async throws -> Configuration {
        var changes = current.changes(to: newer)
        let running = current.taking(newer)
        let access = try running.loadAccess()
        let endedCount = try await daemon.apply(running, access)
        logSettings.take(running.log)
        for warning in access.warnings { warning.log(logger) }
        // They are read again each time, whether their names changed or not.
        if running.listen.contains(where: { $0.tls != nil }) {
            changes.applied.append("certificates")
        }
        var metadata: Logger.Metadata = [LogKeys.unchanged: "\(changes.unchangedCount) keys"]
        if !changes.applied.isEmpty {
            metadata[LogKeys.applied] = "\(changes.applied.joined(separator: ", "))"
        }
        if !changes.needRestart.isEmpty {
            metadata[LogKeys.needRestart] = "\(changes.needRestart.joined(separator: ", "))"
        }
        if running.auth.method == .file { metadata[LogKeys.users] = "\(access.userCount)" }
        if endedCount > 0 { metadata[LogKeys.ended] = "\(endedCount)" }
        logger.notice("configuration reloaded", metadata: metadata)
        return running
    }
}

/// Why the daemon did not start or had to end, in one line.
package struct StartError: Error, CustomStringConvertible, Sendable {
    package let text: String

    package init(text: String) {
        self.text = text
    }

    init(describing error: any Error) {
        text = (error as? StartError)?.text ?? String(describing: error)
    }

    package var description: String { text }
}

/// Store, core and listeners, put together on one event loop.
final class Daemon: Service {
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let engine: NIOLoopBound<Engine>
    private let listeners: [StompListener]
    /// What the listeners were started with.
    private let settings: [Configuration.Listen]
    /// Fails when the store does.
    private let ended: EventLoopFuture<Void>

    private init(
        _ eventLoop: any EventLoop,
        _ logger: Logger,
        _ engine: NIOLoopBound<Engine>,
        _ listeners: [StompListener],
        _ settings: [Configuration.Listen],
        _ ended: EventLoopFuture<Void>
    ) {
        self.eventLoop = eventLoop
        self.logger = logger
        self.engine = engine
        self.listeners = listeners
        self.settings = settings
        self.ended = ended
    }

    /// Opens the store, builds the core on what it holds, and listens.
    static func start(
        _ configuration: Configuration,
        _ access: LoadedAccess,
        _ eventLoop: any EventLoop,
        _ logger: Logger,
        fileLimit: Int
    ) async throws -> Daemon {
        let ended = eventLoop.makePromise(of: Void.self)
        do {
            let engine = try await eventLoop.submit {
                let engine = try Engine(
                    configuration,
                    access,
                    eventLoop,
                    logger,
                    fileLimit: fileLimit
                ) { reason in
                    if let reason {
                        ended.fail(StartError(text: reason))
                    } else {
                        ended.succeed(())
                    }
                }
                return NIOLoopBound(engine, eventLoop: eventLoop)
            }.get()
            let listeners = try await listen(configuration, engine, eventLoop)
            return Daemon(
                eventLoop,
                logger,
                engine,
                listeners,
                configuration.listen,
                ended.futureResult
            )
        } catch {
            ended.fail(error)
            throw error
        }
    }

    private static func listen(
        _ configuration: Configuration,
        _ engine: NIOLoopBound<Engine>,
        _ eventLoop: any EventLoop
    ) async throws -> [StompListener] {
        var listeners: [StompListener] = []
        for listen in configuration.listen {
            do {
                let address = try SocketAddress.makeAddressResolvingHost(
                    listen.address.host,
                    port: listen.address.port
                )
                let live = try ListenerSetup.Live(listen)
                let listener = eventLoop.flatSubmit {
                    StompListener.bind(
                        engine.value.loop,
                        to: address,
                        options: configuration.sessionOptions,
                        budget: engine.value.sockets,
                        setup: ListenerSetup(protocol: listen.protocol, live)
                    )
                }
                listeners.append(try await listener.get())
            } catch SocketAddressError.unknown(let host, _) {
                throw StartError(
                    text: "cannot listen on \(listen.address): no address is known for host \(host)"
                )
            } catch {
                throw StartError(text: "cannot listen on \(listen.address): \(error)")
            }
        }
        return listeners
    }

    /// Waits for the signal to stop, or for the store to fail.
    func run() async throws {
        // Said only here: the signals are watched before a service runs, so who waits for this line may
        // send one at once.
        for (listener, listen) in zip(listeners, settings) {
            let address = listener.address?.shown ?? "unknown"
            logger.notice(
                "listening",
                metadata: [
                    LogKeys.address: "\(address)", LogKeys.protocol: "\(listen.protocol)",
                    LogKeys.tls: "\(listen.tls == nil ? "no" : "yes")",
                ]
            )
        }
        let ended = ended
        try await withGracefulShutdownHandler {
            try await ended.get()
        } onGracefulShutdown: {
            self.stop()
        }
    }

    /// Takes what a changed configuration can change while it runs, or throws and keeps all.
    ///
    /// Returns how many connections were ended by it.
    func apply(_ configuration: Configuration, _ access: LoadedAccess) async throws -> Int {
        let engine = engine
        let changed = try zip(listeners, configuration.listen).map { listener, listen in
            (listener, try ListenerSetup.Live(listen))
        }
        return try await eventLoop.submit {
            let endedCount = try engine.value.apply(configuration, access)
            for (listener, live) in changed {
                listener.take(live, configuration.sessionOptions)
            }
            return endedCount
        }.get()
    }

    /// Stops accepting, lets what was received become durable, saves a checkpoint.
    private func stop() {
        logger.info("stopping")
        let closed = listeners.map { $0.close() }
        EventLoopFuture.andAllComplete(closed, on: eventLoop).whenComplete { [engine] _ in
            engine.value.stop()
        }
    }
}

extension Configuration {
    /// The session layer's share of the configuration.
    fileprivate var sessionOptions: StompSessionOptions {
        var options = StompSessionOptions()
        options.limits = StompLimits(
            bodyBytesMax: stomp.maxBody.bytes,
            headersMax: stomp.maxHeaders,
            headerBytesMax: stomp.maxHeaderBytes.bytes
        )
        options.heartBeat = HeartBeat(
            sendMilliseconds: stomp.heartBeatSend.milliseconds,
            receiveMilliseconds: stomp.heartBeatReceive.milliseconds
        )
        options.connectTimeout = stomp.connectTimeout
        options.connectionsMax = limits.connections
        options.serverName = "radiator/\(Server.version)"
        return options
    }
}
