import ArgumentParser
import Base
import LogStore

/// `radiator-log export`: unsettled messages, whole, as lines of JSON.
struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints all unsettled messages with everything in them, for `import`.",
        discussion: """
            First a line for each queue ("kind":"queue"), then one for each message ("kind":"message") \
            in the order of the log: its time, its entries (queue, sequence, delivery count), headers as \
            pairs in their order, and the body; at last one that counts them ("kind":"end"). What is not UTF-8 is base 64. Nothing is left out or \
            changed: `import` makes a store of it that exports the same lines, but that sequences begin \
            with each queue's first and go on without gaps.

            EXIT STATUS
              0  everything was written      1  damage met, listed on standard error; the rest was written
              2  cannot read or write: no store there, no permission, in use, disk full

            EXAMPLES
              radiator-log export /var/lib/radiator > messages.jsonl
              radiator-log export --queue '/queue/eu.*' --live /var/lib/radiator | gzip > eu.jsonl.gz
            """
    )

    @OptionGroup var store: ReadArguments

    @Option(
        name: .customLong("queue"),
        help: ArgumentHelp(
            "Only queues of this name; * stands for any characters. May be repeated.",
            valueName: "name"
        )
    )
    var queues: [String] = []

    func run() throws {
        let output = LineOutput()
        let bar = ProgressBar()
        let damage = try reportingFailure {
            defer { bar.clear() }
            let damage = try export(output, bar)
            try output.finish()
            return damage
        }
        Terminal.complain(damage)
        if !damage.isEmpty { throw ExitStatus.damage }
    }

    private func export(_ output: LineOutput, _ bar: ProgressBar) throws -> [Damage] {
        let filter = MessageFilter(queues: queues)
        var line = JSONLine()
        var messages = 0
        let damage = try MessageReader.runOnDisk(
            store.directory,
            isLive: store.live,
            choice: .unsettled,
            queues: { found in
                filter.noteIfNoneMatches(found)
                for queue in found where filter.takes(queue: queue.name) {
                    ExportLine.write(queue, into: &line)
                    _ = output.write(line)
                }
            },
            progress: bar.show
        ) { message, headers, body in
            let entries = filter.entries(message, headers)
            guard !entries.isEmpty else { return true }
            ExportLine.write(message, entries, headers: headers, body: body, into: &line)
            messages += 1
            return output.write(line)
        }.damage
        ExportLine.writeEnd(messages: messages, into: &line)
        _ = output.write(line)
        return damage
    }
}
