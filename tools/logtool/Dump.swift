import ArgumentParser
import Base
import LogStore

/// `radiator-log dump`: messages or records as lines of JSON.
struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints messages, or with --records everything, as lines of JSON.",
        discussion: """
            One line for each entry: a message that went to three queues has three lines, in the order \
            of the log, which is each queue's own order. Settled messages are there until their segment \
            goes. A header that is repeated shows its first value; `export` keeps all.

            Bodies that are UTF-8 are printed as "body", others as "body_base64"; --body changes that.

            With --records every record of the log is printed as it stands: groups, messages, settles, \
            requeues, queue names, purges, deletions, footers, and damage where a record should be. Only \
            messages carry a time: for --from and --until the others count as taken with the message \
            before them. --sequence keeps records that name such a sequence, --queue those of the \
            queue, --header messages.

            EXIT STATUS
              0  read, no damage met        1  damage met, listed on standard error
              2  cannot read: no store there, no permission, a newer format, or in use

            EXAMPLES
              radiator-log dump --unsettled --queue '/queue/orders.*' DIR | jq -r .body
              radiator-log dump --header order=4711 --live /var/lib/radiator
              radiator-log dump --records --from 2026-07-09T15:00:00Z DIR | jq 'select(.kind=="settle")'
            """
    )

    @OptionGroup var store: ReadArguments
    @OptionGroup var filter: FilterArguments

    @Flag(help: "Print the log's records instead of messages.")
    var records = false

    @Flag(help: "Only entries that are not settled.")
    var unsettled = false

    @Flag(help: "Only entries that are settled.")
    var settled = false

    @Option(help: ArgumentHelp("Stop after so many lines.", valueName: "n"))
    var limit: Int?

    @Option(
        help: ArgumentHelp(
            "How bodies are printed: auto (text if it is UTF-8, else base 64), text, base64, none.",
            valueName: "form"
        )
    )
    var body = BodyForm.auto

    func validate() throws {
        if settled, unsettled {
            throw ValidationError("--settled and --unsettled together leave nothing.")
        }
        if records, settled || unsettled {
            throw ValidationError("--records shows records as they stand, without --(un)settled.")
        }
        if let limit, limit < 1 { throw ValidationError("--limit is at least 1.") }
    }

    func run() throws {
        let output = LineOutput()
        let damage = try reportingFailure {
            let damage = try records ? dumpRecords(output) : dumpMessages(output)
            try output.finish()
            return damage
        }
        Terminal.complain(damage)
        if !damage.isEmpty { throw ExitStatus.damage }
    }

    private func dumpMessages(_ output: LineOutput) throws -> [Damage] {
        let filter = MessageFilter(filter)
        let choice: EntryChoice = unsettled ? .unsettled : settled ? .settled : .all
        var line = MessageLine(body: body)
        var left = limit ?? .max
        return try MessageReader.runOnDisk(
            store.directory,
            isLive: store.live,
            choice: choice,
            queues: filter.noteIfNoneMatches
        ) { message, headers, body in
            let entries = filter.entries(message, headers)
            guard !entries.isEmpty else { return true }
            return line.print(entries, of: message, headers: headers, body: body) {
                left -= 1
                return output.write($0) && left > 0
            }
        }.damage
    }

    private func dumpRecords(_ output: LineOutput) throws -> [Damage] {
        var printer = RecordLine(MessageFilter(filter), body: body)
        var left = limit ?? .max
        return try RecordReader.runOnDisk(
            store.directory,
            isLive: store.live
        ) { record, bytes, name in
            guard let line = printer.line(record, bytes, name) else { return true }
            left -= 1
            return output.write(line) && left > 0
        }
    }
}
