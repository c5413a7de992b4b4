import ArgumentParser
import Base
import LogStore

/// `radiator-log snapshot`: a backup that opens as it is.
struct TakeSnapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Makes a consistent copy of a store, also beside a running daemon.",
        discussion: """
            The copy opens with radiatord as it is, and holds everything that had its receipt when the \
            snapshot began. Sealed segments share their files with the store where both are on one disk \
            (hard links), so a snapshot is quick and takes little space; the daemon never writes into a \
            file that is shared. Of the active segment the copy has the bytes up to the last complete \
            group. --copy copies everything, for a directory that is going to be moved or edited.

            The copy appears under its name only when it is whole and durable; until then it is \
            NAME.partial.

            EXIT STATUS
              0  the copy is there
              1  the copy is there, with damage that the store has behind its checkpoint; listed
              2  cannot read or write: no store there, in use without --live, something at --out \
            already, disk full

            EXAMPLES
              radiator-log snapshot --live /var/lib/radiator --out /backup/radiator-monday
              radiator-log verify /backup/radiator-monday
            """
    )

    @OptionGroup var store: StoreArguments

    @Option(help: ArgumentHelp("The copy's directory.", valueName: "dir2"))
    var out: String

    @Flag(help: "Copy every file; share none.")
    var copy = false

    func run() throws {
        let bar = ProgressBar()
        let report = try reportingFailure(json: store.json) {
            defer { bar.clear() }
            let output = try OutputDirectory(out, apartFrom: store.directory)
            return try output.build { place in
                try Snapshot.runOnDisk(
                    store.directory,
                    to: place,
                    isLive: store.live,
                    links: !copy,
                    progress: bar.show
                )
            }
        }
        print(store.json ? json(report).text : text(report), terminator: store.json ? "\n" : "")
        if !report.damage.isEmpty { throw ExitStatus.damage }
    }

    private func text(_ report: SnapshotReport) -> String {
        var text =
            "\(report.messages) unsettled messages in \(report.queues) queues, up to position "
        text += "\(report.end); \(report.segments) segments, \(report.linked) of them shared: "
        text += "\(ByteCount(report.copiedBytes)) copied, \(ByteCount(report.linkedBytes)) shared; "
        text += "the copy is \(out)\n"
        for note in report.notes { text += "note: \(note)\n" }
        for damage in report.damage { text += "damage: \(damage)\n" }
        return text
    }

    private func json(_ report: SnapshotReport) -> JSON {
        .object([
            ("directory", .string(store.directory)),
            ("out", .string(out)),
            ("end", .string(report.end.description)),
            ("queues", .number(report.queues)),
            ("messages", .number(report.messages)),
            ("segments", .number(report.segments)),
            ("shared_segments", .number(report.linked)),
            ("copied_bytes", .number(report.copiedBytes)),
            ("shared_bytes", .number(report.linkedBytes)),
            ("damage", .array(report.damage.map(JSON.damage))),
            ("notes", .array(report.notes.map { .string($0) })),
        ])
    }
}
