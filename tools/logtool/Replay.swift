import ArgumentParser
import Base
import LogStore

/// `radiator-log replay`: sends messages again, or goes back in time.
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends messages again (--to), or writes the store as it was (--until --out).",
        discussion: """
            replay DIR --to stomp://HOST:PORT sends each chosen entry to its queue (or to \
            --destination), in the order of the log, with its stored headers, body and a receipt. \
            Unsettled entries are chosen, or with --settled those that are done and still in the log. \
            Time and delivery count begin anew. Messages that have expired are counted and not sent, \
            for the broker would deliver them to nobody; --no-expiry sends all of them, without the \
            headers that make them expire. The passcode is taken from RADIATOR_PASSCODE.

            Ctrl-C stops sending and waits for the receipts of what was sent. Interrupted so, or by a \
            lost connection, it prints the --after that makes the same command go on behind the last \
            receipt. After Ctrl-C nothing is sent twice by that. After a lost connection the messages \
            that had no receipt yet, at most --window, may have arrived; it says how many and which.

            replay DIR --until TIME --out DIR2 writes a new store as DIR was at TIME. Only messages \
            carry a time, so that means: the log is cut before the first message that was taken later \
            than TIME; what was settled behind the cut is unsettled again. What was settled before TIME \
            stays so, and messages whose segment is gone since cannot come back; it says if segments \
            are missing. An atomic unit that the cut divides is left out.

            EXIT STATUS
              0  everything was sent, or the new store is there
              1  the same, but damage was met; it is listed
              2  cannot read or write or connect; nothing was sent
              3  interrupted: it says how to continue
              64 the command line is wrong

            EXAMPLES
              radiator-log replay DIR --to stomp://127.0.0.1:61613 --queue /queue/orders --dry-run
              radiator-log replay DIR --to stomp://127.0.0.1:61613 --settled --from 2026-07-09T15:00:00Z \
            --until 2026-07-09T15:10:00Z --rate 500
              radiator-log replay DIR --until 2026-07-09T15:00:00Z --out DIR2
            """
    )

    @OptionGroup var store: StoreArguments
    @OptionGroup var filter: FilterArguments

    @Option(help: ArgumentHelp("Send to this broker: stomp://HOST:PORT.", valueName: "address"))
    var to: StompAddress?

    @Option(help: ArgumentHelp("Write the store of --until to this directory.", valueName: "dir2"))
    var out: String?

    @Flag(help: "Send entries that are settled and still in the log.")
    var settled = false

    @Flag(help: "Send entries that are not settled; the default.")
    var unsettled = false

    @Option(help: ArgumentHelp("Send everything there instead.", valueName: "name"))
    var destination: String?

    @Option(help: ArgumentHelp("Send at most so many messages a second.", valueName: "n"))
    var rate: Int?

    @Option(help: ArgumentHelp("Messages without a receipt at most.", valueName: "n"))
    var window = 256

    @Option(help: ArgumentHelp("Go on behind this entry: QUEUE:SEQUENCE.", valueName: "entry"))
    var after: String?

    @Option(help: ArgumentHelp("The user's name for the broker.", valueName: "name"))
    var login: String?

    @Flag(help: "Send expired messages, too, and all of them without their expiry.")
    var noExpiry = false

    @Flag(help: "Only count what would be sent.")
    var dryRun = false

    func validate() throws {
        guard (to == nil) != (out == nil) else {
            throw ValidationError("Give either --to stomp://HOST:PORT, or --until TIME --out DIR2.")
        }
        if settled, unsettled { throw ValidationError("Give --settled or --unsettled.") }
        if window < 1 || rate.map({ $0 < 1 }) ?? false {
            throw ValidationError("--window and --rate are at least 1.")
        }
        if let after, place(after) == nil { throw ValidationError("--after is QUEUE:SEQUENCE.") }
        guard out != nil else { return }
        if filter.until == nil { throw ValidationError("--out needs --until TIME.") }
        if store.live { throw ValidationError("--out reads a store that nobody has open.") }
        if !filter.queues.isEmpty || filter.from != nil || filter.sequence != nil
            || !filter.headers.isEmpty || settled || dryRun || after != nil || destination != nil
            || rate != nil || login != nil || noExpiry
        {
            throw ValidationError("--out takes the whole store; only --until goes with it.")
        }
    }

    func run() throws {
        if let out, let until = filter.until {
            try rewind(until, out)
        } else if let to {
            try dryRun ? count() : send(to)
        }
    }

    private func place(_ token: String) -> ReplaySender.Place? {
        guard let colon = token.lastIndex(of: ":"),
            let sequence = UInt64(token[token.index(after: colon)...])
        else { return nil }
        return ReplaySender.Place(queue: String(token[..<colon]), sequence: sequence)
    }

    private func rewind(_ until: TimeArgument, _ out: String) throws {
        let bar = ProgressBar()
        let report = try reportingFailure(json: store.json) {
            defer { bar.clear() }
            return try OutputDirectory(out, apartFrom: store.directory).build { place in
                var generator = SystemRandomNumberGenerator()
                let builder = try StoreBuilder<PosixFileSystem>.onDisk(
                    place,
                    now: WallClock.now(),
                    using: &generator
                )
                return try StoreCopier.rewindOnDisk(
                    store.directory,
                    until: WallTime(milliseconds: until.milliseconds),
                    into: builder,
                    progress: bar.show
                )
            }
        }
        if store.json {
            print(CopyText.json(report, directory: store.directory, out: out).text)
        } else {
            print(CopyText.text(report, out: out), terminator: "")
            let cut = report.cut.map { "cut before position \($0)" } ?? "nothing in it is later"
            print("as it was at \(CivilTime.stamp(until.milliseconds)): \(cut)")
        }
        if !report.damage.isEmpty || !report.lost.isEmpty { throw ExitStatus.damage }
    }

    // MARK: Sending

    /// Hands on the chosen entries behind `--after`; returns damage, and how many were left out because
    /// they have expired.
    private func read(
        _ bar: ProgressBar,
        _ take: @escaping (StoredEntry, _ headers: RawSpan, _ body: RawSpan) -> Bool
    ) throws -> (damage: [Damage], expiredCount: Int) {
        let filter = MessageFilter(filter)
        let now = WallClock.now().milliseconds
        var expiredCount = 0
        var skippedTo = after.flatMap(place)
        let report = try MessageReader.runOnDisk(
            store.directory,
            isLive: store.live,
            choice: settled ? .settled : .unsettled,
            progress: bar.show
        ) { message, headers, body in
            for entry in filter.entries(message, headers) {
                if let wanted = skippedTo {
                    if wanted.queue == entry.name, wanted.sequence == entry.sequence.value {
                        skippedTo = nil
                    }
                } else if !noExpiry, message.expires > 0, message.expires <= now {
                    expiredCount += 1
                } else if !take(entry, headers, body) {
                    return false
                }
            }
            return true
        }
        if let skippedTo {
            throw ToolFailure(
                "nothing was sent: \(skippedTo.token) of --after is not among the chosen entries; give "
                    + "the same filters as before, and see with dump what became of it"
            )
        }
        return (report.damage, expiredCount)
    }

    private func count() throws {
        var counts: [String: (messages: Int, bytes: Int)] = [:]
        let bar = ProgressBar()
        let (damage, expiredCount) = try reportingFailure(json: store.json) {
            defer { bar.clear() }
            return try read(bar) { entry, _, body in
                counts[entry.name, default: (0, 0)].messages += 1
                counts[entry.name, default: (0, 0)].bytes += body.byteCount
                return true
            }
        }
        if store.json {
            let queues = counts.keys.sorted().map { name in
                JSON.object([
                    ("queue", .string(name)),
                    ("destination", .string(destination ?? name)),
                    ("messages", .number(counts[name]?.messages ?? 0)),
                    ("body_bytes", .number(counts[name]?.bytes ?? 0)),
                ])
            }
            let report = JSON.object([
                ("dry_run", .bool(true)), ("queues", .array(queues)),
                ("expired", .number(expiredCount)),
            ])
            print(report.text)
        } else {
            var table = TextTable(["messages", "bodies", "queue", "to"])
            for name in counts.keys.sorted() {
                guard let count = counts[name] else { continue }
                table.add([
                    "\(count.messages)", "\(ByteCount(count.bytes))", name, destination ?? name,
                ])
            }
            print(table.text, terminator: "")
            print("\(counts.values.reduce(0) { $0 + $1.messages }) messages would be sent")
            Self.tell(expiredCount)
        }
        Terminal.complain(damage)
        if !damage.isEmpty { throw ExitStatus.damage }
    }

    private func send(_ address: StompAddress) throws {
        let bar = ProgressBar()
        Interruption.watch()
        var interruption: ToolFailure?
        let (sender, outcome) = try reportingFailure(json: store.json) {
            defer { bar.clear() }
            let sender = try ReplaySender(address, login: login, window: window, rate: rate)
            let outcome = try read(bar) { entry, headers, body in
                do {
                    try sender.send(
                        .init(queue: entry.name, sequence: entry.sequence.value),
                        to: destination ?? entry.name,
                        headers: headerBlock(headers),
                        body: body
                    )
                    bar.show(Self.progress(sender))
                } catch {
                    interruption = error as? ToolFailure
                    return false
                }
                return !Interruption.isWanted
            }
            if interruption == nil {
                do { try sender.finish() } catch let error as ToolFailure { interruption = error }
            }
            return (sender, outcome)
        }
        if interruption == nil, Interruption.isWanted {
            interruption = ToolFailure("interrupted")
        }
        report(sender, interruption, outcome.damage, expiredCount: outcome.expiredCount)
        if interruption != nil { throw ExitStatus.unfinished }
        if !outcome.damage.isEmpty { throw ExitStatus.damage }
    }

    /// The headers to send: as they are stored, or without those that make a message expire.
    private func headerBlock(_ headers: RawSpan) -> [UInt8] {
        let block = headers.array(0..<headers.byteCount)
        guard noExpiry else { return block }
        let names = ["expires", "expiration"].map { Array($0.utf8) }
        return HeaderBlock.block(HeaderBlock.pairs(block).filter { !names.contains($0.name) })
    }

    private static func tell(_ expiredCount: Int) {
        guard expiredCount > 0 else { return }
        print("\(expiredCount) have expired and are left out; --no-expiry sends them, too")
    }

    private static func progress(_ sender: ReplaySender) -> String {
        let place = sender.last.map { ", the last one \($0.token)" } ?? ""
        return "\(sender.confirmed) messages have their receipts\(place)"
    }

    private func report(
        _ sender: ReplaySender,
        _ interruption: ToolFailure?,
        _ damage: [Damage],
        expiredCount: Int
    ) {
        let token = sender.last?.token ?? after
        let uncertain = sender.uncertain
        if store.json {
            let report = JSON.object([
                ("sent", .number(sender.confirmed)),
                ("expired", .number(expiredCount)),
                ("body_bytes", .number(sender.bytes)),
                ("milliseconds", .number(Int(sender.seconds * 1000))),
                ("interrupted", .optional(interruption?.text)),
                ("after", .optional(interruption == nil ? nil : token)),
                ("uncertain", .number(uncertain.count)),
                ("uncertain_last", .optional(uncertain.last?.token)),
                ("damage", .array(damage.map(JSON.damage))),
            ])
            print(report.text)
            return
        }
        print("\(sender.confirmed) messages were sent and have their receipts")
        Self.tell(expiredCount)
        Terminal.complain(damage)
        guard let interruption else { return }
        Terminal.complain("radiator-log: \(interruption.text)")
        if uncertain.count > 0, let last = uncertain.last {
            Terminal.complain(
                "\(uncertain.count) more were sent, the last one \(last.token), and have no receipt: the "
                    + "first of them may have arrived"
            )
        }
        if let token {
            Terminal.complain("continue with the same command and --after '\(token)'")
        } else {
            Terminal.complain("nothing has a receipt; run the same command again")
        }
    }
}
