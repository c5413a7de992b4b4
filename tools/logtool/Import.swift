import ArgumentParser
import Base
import LogStore

/// `radiator-log import`: a new store from exported lines.
struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes a new store from what `export` printed.",
        discussion: """
            Order, queues, times, headers, bodies and delivery counts are kept. The first message of a \
            queue keeps its sequence, the others follow it without gaps. FILE may be - for standard \
            input. The new store appears under its name only when it is whole and durable; until then \
            it is NAME.partial. radiatord opens it as it is. Lines that do not end as an export does were cut \
            off somewhere and are refused, unless --partial is given.

            EXIT STATUS
              0  the store is there
              2  cannot read or write: no such file, a line that export does not write (it is named), \
            something at --out already, disk full

            EXAMPLES
              radiator-log import messages.jsonl --out /var/lib/radiator-new
              zcat eu.jsonl.gz | radiator-log import - --out /var/lib/radiator-eu --json
            """
    )

    @Argument(help: "The exported lines, or - for standard input.", completion: .file())
    var file: String

    @Option(help: ArgumentHelp("The new store's directory.", valueName: "dir2"))
    var out: String

    @Flag(help: "Print the report as one JSON document.")
    var json = false

    @Flag(help: "Take lines that do not end with the one that export writes last.")
    var partial = false

    private struct Counts {
        var queues: Set<String> = []
        var messages = 0
        var entries = 0
        var bytes = 0
        /// Messages since the last line that ends an export; nil right behind one.
        var openMessages: UInt64? = 0
    }

    func run() throws {
        let counts = try reportingFailure(json: json) {
            let input = try LineInput(file)
            return try OutputDirectory(out).build { try importLines(input, into: $0) }
        }
        if json {
            let report = JSON.object([
                ("out", .string(out)),
                ("queues", .number(counts.queues.count)),
                ("messages", .number(counts.messages)),
                ("entries", .number(counts.entries)),
                ("bytes", .number(counts.bytes)),
            ])
            print(report.text)
        } else {
            print(
                "\(counts.messages) messages with \(counts.entries) entries in \(counts.queues.count) "
                    + "queues, \(ByteCount(counts.bytes)); the store is \(out)"
            )
        }
    }

    private func importLines(_ input: LineInput, into directory: String) throws -> Counts {
        var generator = SystemRandomNumberGenerator()
        let builder = try StoreBuilder<PosixFileSystem>.onDisk(
            directory,
            now: WallClock.now(),
            using: &generator
        )
        var counts = Counts()
        do {
            var number = 0
            while let bytes = try input.next() {
                number += 1
                if bytes.isEmpty { continue }
                do { try add(try ExportLine.read(bytes), to: builder, &counts) } catch let error
                    as ToolFailure
                {
                    throw ToolFailure("\(file), line \(number): \(error.text)")
                }
            }
            if counts.openMessages != nil, !partial {
                throw ToolFailure(
                    "\(file) lacks the line that export writes last: it was cut off, or is empty; "
                        + "--partial takes what is there"
                )
            }
        } catch {
            builder.close()
            throw error
        }
        try builder.finish()
        return counts
    }

    private func add(
        _ content: ExportLine.Content,
        to builder: StoreBuilder<PosixFileSystem>,
        _ counts: inout Counts
    ) throws {
        if case .end(let messages) = content {
            guard messages == counts.openMessages ?? 0 else {
                throw ToolFailure(
                    "\(messages) messages were exported, and \(counts.openMessages ?? 0) are here"
                )
            }
            counts.openMessages = nil
            return
        }
        counts.openMessages = counts.openMessages ?? 0
        switch content {
        case .end: break
        case .queue(let name, let first):
            counts.queues.insert(name)
            _ = builder.queue(name, next: first)
        case .message(let message):
            let targets = message.entries.map { entry in
                counts.queues.insert(entry.queue)
                return (
                    queue: builder.queue(entry.queue, next: entry.sequence),
                    requeue: entry.requeue
                )
            }
            try builder.append(
                headers: message.headers.span.bytes,
                body: message.body.span.bytes,
                to: targets,
                at: message.time,
                expires: message.expires
            )
            counts.messages += 1
            counts.openMessages? += 1
            counts.entries += targets.count
            counts.bytes += message.headers.count + message.body.count
        }
    }
}
