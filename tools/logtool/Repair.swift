import ArgumentParser
import Base
import LogStore

/// `radiator-log repair`: a new store from what is sound of a damaged one.
struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copies what is sound into a new store, and lists what was lost.",
        discussion: """
            Copies queues, unsettled messages in their order, times and delivery counts; a message of \
            several queues stays one message. DIR is never changed. Checkpoints and headers may be \
            damaged, too, as long as one of them still tells the store's id. Settled messages are left \
            behind. The first message of a queue keeps its sequence, the others follow without gaps.

            What is lost is listed with file, offset, queue and entries. The new store appears under its \
            name only when it is whole and durable; until then it is NAME.partial. Then: verify it, and \
            start the daemon on it; keep DIR until you need it no more.

            EXIT STATUS
              0  everything was sound and is in the new store
              1  damage, listed; the new store has the rest
              2  cannot read or write: no store there, in use, something at --out already, disk full

            EXAMPLES
              radiator-log repair /var/lib/radiator --out /var/lib/radiator-repaired
              radiator-log repair DIR --out DIR2 --json | jq '.lost[] | {queue, entries, file, offset}'
            """
    )

    @Argument(help: "The store's directory.", completion: .directory)
    var directory: String

    @Option(help: ArgumentHelp("The new store's directory.", valueName: "dir2"))
    var out: String

    @Flag(help: "Print the report as one JSON document.")
    var json = false

    func run() throws {
        let bar = ProgressBar()
        let report = try reportingFailure(json: json) {
            defer { bar.clear() }
            let output = try OutputDirectory(out, apartFrom: directory)
            return try output.build { place in
                var generator = SystemRandomNumberGenerator()
                let builder = try StoreBuilder<PosixFileSystem>.onDisk(
                    place,
                    now: WallClock.now(),
                    using: &generator
                )
                return try StoreCopier.repairOnDisk(directory, into: builder, progress: bar.show)
            }
        }
        if json {
            print(CopyText.json(report, directory: directory, out: out).text)
        } else {
            print(CopyText.text(report, out: out), terminator: "")
            if !report.lost.isEmpty { print("lost: \(report.lostEntries) entries in all") }
        }
        if !report.damage.isEmpty || !report.lost.isEmpty { throw ExitStatus.damage }
    }
}
