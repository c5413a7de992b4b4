import Base
import Broker
import LogStore
import Logging
import NIOCore
import NIOPosix

/// The store with its threads, and the broker loop on top of it.
///
/// Confinement: its event loop, `init` included.
final class Engine {
    let loop: BrokerLoop
    /// Shared by all listeners.
    let sockets: SocketBudget
    private let driver: StoreDriver
    private let logger: Logger
    private let eventLoop: any EventLoop
    /// Called once, with nil for a clean end.
    private let onEnd: (String?) -> Void
    private let metrics = BrokerMetrics()
    private var isStopping = false
    private var hasEnded = false
    private var ticking: RepeatedTask?
    private var isFlushScheduled = false
    private var ringWatch: (any Channel)?
    // Empty between calls.
    private var notices: [StoreNotice] = []

    /// Open files kept for the store, its readers and the listeners.
    private static let filesReserved = 32
    /// How long an acknowledgement that asked for no receipt may wait for others.
    static let settleDelay = Interval.milliseconds(5)
    /// How long a stop waits for connections, receipts and the disk.
    private static let stopTimeMax = TimeAmount.seconds(15)

    /// Opens the store in the configured directory.
    ///
    /// Blocks while it recovers.
    init(
        _ configuration: Configuration,
        _ access: LoadedAccess,
        _ eventLoop: any EventLoop,
        _ logger: Logger,
        fileLimit: Int,
        onEnd: @escaping (String?) -> Void
    ) throws {
        self.eventLoop = eventLoop
        self.logger = logger
        self.onEnd = onEnd
        sockets = SocketBudget(max: max(1, fileLimit - Self.filesReserved))
        let directory = configuration.storage.directory
        let files = PosixFileSystem()
        let begin = SystemClock.now()
        var generator = SystemRandomNumberGenerator()
        let opened: Recovery<PosixFileSystem>.Opened
        do throws(LogStoreError) {
            opened = try Recovery.openOnDisk(
                files,
                directory: directory,
                options: configuration.storeOptions,
                now: begin.wall,
                newID: StoreID(using: &generator),
                progress: Self.logProgress(logger, since: begin.monotonic)
            )
        } catch {
            if case .damaged(_, let damage) = error {
                _ = DamageLog.write(damage, to: logger)
            }
            throw error
        }
        let target = NIOLoopBoundBox<Engine?>.makeEmptyBox(eventLoop: eventLoop)
        driver = StoreDriver(opened, files: files, directory: directory) {
            eventLoop.execute { target.value?.collect() }
        }
        let store = LogMessageStore(driver.store)
        let broker: Broker
        do {
            broker = try Broker(
                store: store,
                settings: configuration.brokerSettings,
                recovered: store.recovered,
                now: begin
            )
        } catch {
            driver.close()
            throw error
        }
        let driver = driver
        loop = BrokerLoop(
            eventLoop: eventLoop,
            broker: broker,
            store: store,
            logger: logger,
            access: AccessControl(
                access.rules,
                limits: access.limits,
                eventLoop: eventLoop,
                logger: logger
            ),
            submit: { target.value?.submit() },
            onStoreFailed: { reason in target.value?.end("the store failed: \(reason)") }
        )
        loop.frameMemory.bytesMax = configuration.limits.unfinishedFrameBytes.bytes
        logRecovery(directory, driver.report, since: begin)
        target.value = self
        driver.submit(now: begin.monotonic)
        startCallbacks(configuration.storeOptions.fsync)
    }

    /// Has small groups written without a thread, if the system can.
    private func useRing() {
        guard driver.store.options.writesPastCache, let ring = WriteRing() else { return }
        let bound = NIOLoopBound((engine: self, ring: ring), eventLoop: eventLoop)
        RingWatch.start(ring, on: eventLoop) { [weak self] in self?.collect() }
            .whenSuccess { channel in
                let (engine, ring) = bound.value
                if engine.hasEnded {
                    channel.close(promise: nil)
                } else {
                    engine.ringWatch = channel
                    engine.driver.use(ring)
                    channel.closeFuture.whenComplete { _ in
                        bound.value.engine.driver.stopUsingRing()
                    }
                }
            }
    }

    /// Says once a second how far a long recovery is, and how long it may still take.
    private static func logProgress(
        _ logger: Logger,
        since begin: MonotonicTime
    ) -> RecoveryProgress {
        var told = begin
        return { done, total in
            let now = SystemClock.now().monotonic
            guard now.since(told) >= .seconds(1) else { return }
            told = now
            let rate = Double(done) / (Double(now.since(begin).milliseconds) / 1000)
            logger.info(
                "recovering",
                metadata: [
                    LogKeys.bytes: "\(done)",
                    LogKeys.totalBytes: "\(total)",
                    LogKeys.bytesPerSecond: "\(Int(rate))",
                    LogKeys.secondsLeft:
                        "\(Int((Double(total - done) / max(rate, 1)).rounded(.up)))",
                ]
            )
        }
    }

    private func logRecovery(_ directory: String, _ report: RecoveryReport, since begin: Instant) {
        let took = SystemClock.now().monotonic.since(begin.monotonic)
        var metadata: Logger.Metadata = [
            LogKeys.directory: "\(directory)",
            LogKeys.milliseconds: "\(took.milliseconds)",
            LogKeys.queues: "\(report.queues)",
            LogKeys.messages: "\(report.messages)",
            LogKeys.bytes: "\(report.bytesRead)",
        ]
        if let file = report.tornFile {
            metadata[LogKeys.tornBytes] = "\(report.tornBytes)"
            metadata[LogKeys.file] = "\(file)"
        }
        logger.info(
            report.isNew ? "store created" : "store recovered",
            metadata: metadata
        )
        metrics.damaged(DamageLog.write(report.damage, to: logger))
        log(report.quarantine)
        for reason in report.unusedCheckpoints {
            logger.warning("checkpoint not used", metadata: [LogKeys.reason: "\(reason)"])
        }
        for file in report.putAside {
            logger.warning(
                "segment that cannot be opened put aside",
                metadata: [LogKeys.file: "\(file)"]
            )
        }
        if report.isRebuilt {
            logger.warning(
                "no checkpoint: rebuilt from all segments; settled messages may be delivered again",
                metadata: [LogKeys.messages: "\(report.messages)"]
            )
        }
        for file in report.unknownFiles {
            logger.warning(
                "segment that no checkpoint mentions; kept",
                metadata: [LogKeys.file: "\(file)"]
            )
        }
    }

    private func log(_ report: QuarantineReport) {
        for file in report.kept {
            logger.warning("damaged bytes kept aside", metadata: [LogKeys.file: "\(file)"])
        }
        for reason in report.notKept {
            logger.warning("damaged bytes not kept aside", metadata: [LogKeys.reason: "\(reason)"])
        }
    }

    /// Asks the store about time, about once a second or as often as it must sync, and has it called
    /// back when the ring has written something.
    private func startCallbacks(_ fsync: LogStoreOptions.Fsync) {
        var interval = Interval.seconds(1)
        if case .every(let sync) = fsync {
            interval = max(.milliseconds(1), min(interval, sync))
        }
        let amount = TimeAmount.nanoseconds(Int64(interval.nanoseconds))
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        ticking = eventLoop.scheduleRepeatedTask(initialDelay: amount, delay: amount) { _ in
            bound.value.tick()
        }
        useRing()
    }

    private func tick() {
        driver.tick(SystemClock.now())
        metrics.update(loop.broker.stats, connections: loop.connectionCount)
        metrics.update(loop.access.stats)
        handOn()
    }

    /// The end of a turn: what was appended goes to the threads.
    private func submit() {
        driver.submit(now: loop.now.monotonic)
        handOn()
        scheduleFlush()
    }

    /// Has settles written that nobody waits for, once they are due.
    private func scheduleFlush() {
        guard !isFlushScheduled, let due = driver.store.settlesDue else { return }
        isFlushScheduled = true
        let now = loop.now.monotonic
        let wait = due > now ? due.since(now) : .zero
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .nanoseconds(Int64(wait.nanoseconds))) {
            bound.value.flush()
        }
    }

    private func flush() {
        isFlushScheduled = false
        guard !hasEnded else { return }
        loop.beginTurn()
    }

    /// Takes in what the threads finished.
    private func collect() {
        driver.collect(now: SystemClock.now().monotonic)
        handOn()
        checkStopped()
    }

    /// Hands the store's notices to the core, and tells the operator what concerns him.
    private func handOn() {
        var taken: [StoreNotice] = []
        swap(&taken, &notices)
        taken = driver.store.takeNotices(reusing: consume taken)
        if !taken.isEmpty {
            for notice in taken { tell(notice) }
            loop.handle(taken.lazy.compactMap(LogMessageStore.event(of:)))
        }
        taken.empty()
        notices = taken
    }

    private func tell(_ notice: StoreNotice) {
        switch notice {
        case .damaged(let list):
            metrics.damaged(DamageLog.write(list, to: logger))
        case .quarantined(let report):
            log(report)
        case .sendsRefused(let reason?):
            logger.warning("SENDs are refused", metadata: [LogKeys.reason: "\(reason)"])
        case .sendsRefused(nil):
            logger.warning("SENDs are taken again")
        case .retentionShortened(let segments):
            logger.warning(
                "disk is short: settled messages that retain would keep are given up",
                metadata: [LogKeys.segments: "\(segments)"]
            )
        case .durable, .fetched, .pressure, .failed:
            break
        }
    }

    // MARK: Changing

    /// Takes what a changed configuration can change while the daemon runs, or throws and keeps all.
    ///
    /// Returns how many connections were ended by it.
    func apply(_ configuration: Configuration, _ access: LoadedAccess) throws(BrokerError) -> Int {
        try loop.apply(configuration.brokerSettings)
        loop.frameMemory.bytesMax = configuration.limits.unfinishedFrameBytes.bytes
        return loop.apply(access.rules, limits: access.limits)
    }

    // MARK: The end

    /// Ends connections after their receipts, makes everything durable, saves a checkpoint.
    func stop() {
        if hasEnded || isStopping { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.stopTimeMax) { bound.value.giveUpWaiting() }
        loop.shutDown().whenComplete { _ in
            let engine = bound.value
            engine.isStopping = true
            engine.driver.store.requestCheckpoint()
            engine.submit()
            engine.checkStopped()
        }
    }

    /// A disk that is full or does not answer must not keep the daemon from stopping.
    private func giveUpWaiting() {
        if hasEnded { return }
        logger.warning(
            "stopped before everything was durable; what got a receipt is",
            metadata: [LogKeys.detail: "the next start replays more of the log"]
        )
        end(nil)
    }

    private func checkStopped() {
        if isStopping, driver.store.isIdle { end(nil) }
    }

    private func end(_ reason: String?) {
        if hasEnded { return }
        hasEnded = true
        ticking?.cancel()
        ringWatch?.close(promise: nil)
        if let reason {
            logger.critical("the daemon ends", metadata: [LogKeys.reason: "\(reason)"])
        } else {
            driver.close()
            logger.info("stopped")
        }
        onEnd(reason)
    }
}

extension Configuration {
    /// The store's share of the configuration.
    var storeOptions: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = storage.segmentSize.bytes
        options.settleDelay = Engine.settleDelay
        // Small segments are for small disks. What was taken and not yet written must fit into the
        // reserve with room to spare, for settles stand behind it.
        options.unconfirmedBytesMax = min(
            options.unconfirmedBytesMax,
            max(128 << 10, options.segmentBytes / 2)
        )
        options.reserveBytes = min(
            options.reserveBytes,
            max(1 << 20, options.segmentBytes / 4 * 3)
        )
        options.packBelowLive = storage.packBelowLive
        options.packGainBytesMin = min(options.packGainBytesMin, options.segmentBytes / 4)
        options.retain = storage.retain
        options.packCodec =
            switch storage.compression {
            case .zstd: .zstd
            case .zlib: .zlib
            case .none: .stored
            }
        options.onDamage =
            switch storage.onDamage {
            case .quarantine: .quarantine
            case .refuse: .refuse
            }
        options.minFreeDiskBytes = storage.minFreeDisk.bytes
        options.fsync =
            switch storage.fsync {
            case .always: .always
            case .every(let interval): .every(interval)
            case .never: .never
            }
        return options
    }
}
