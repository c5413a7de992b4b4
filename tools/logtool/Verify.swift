import ArgumentParser
import Base
import LogStore

/// `radiator-log verify`: reads everything and says whether it is sound.
struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads everything, changes nothing, and prints a verdict.",
        discussion: """
            Reads every segment from its first byte: checksums of all records, groups in order, \
            atomic units, footers against the records, and the checkpoints against what the records \
            lead to, as far as the log still tells. Damage is listed with file, offset, length, and \
            the queue and entries that it took.

            An unfinished last write (a torn tail) is no damage: it was never confirmed, and the next \
            start cuts it off. With --live the last write may simply be under way.

            On a terminal a progress bar is shown on standard error.

            EXIT STATUS
              0  sound        1  damage, listed
              2  cannot read: no store there, no permission, a newer format, or in use

            EXAMPLES
              radiator-log verify /var/lib/radiator
              radiator-log verify --live --json /var/lib/radiator | jq .damage
            """
    )

    @OptionGroup var store: StoreArguments

    func run() throws {
        let bar = ProgressBar()
        let report = try reportingFailure(json: store.json) {
            defer { bar.clear() }
            return try Verifier.runOnDisk(
                store.directory,
                isLive: store.live,
                progress: bar.show
            )
        }
        print(store.json ? json(report).text : text(report), terminator: store.json ? "\n" : "")
        if !report.isSound { throw ExitStatus.damage }
    }

    private func text(_ report: VerifierReport) -> String {
        var text = "store \(report.store) in \(store.directory)\n"
        text += "read \(ByteCount(report.bytes)) in \(report.segments) segments: "
        text += "\(report.groups) groups, \(report.records) records, \(report.messages) messages "
        text += "with \(report.entries) entries, \(report.footers) footers\n"
        if report.packedSegments > 0 {
            text += "and \(report.packedSegments) packed segments\n"
        }
        for checkpoint in report.checkpoints {
            text += "\(checkpoint.file): "
            text += checkpoint.position.map { "up to position \($0)" } ?? "damaged"
            text += checkpoint.number == report.checkpointInUse ? ", in use\n" : "\n"
        }
        text += "the next start finds \(report.unsettled) unsettled messages in "
        text += "\(report.queues) queues\n"
        if let torn = report.tornTail {
            text += "torn tail: \(ByteCount(torn.bytes)) in \(torn.file) at offset \(torn.offset), "
            text += store.live ? "unfinished or being written\n" : "never confirmed; no damage\n"
        }
        text += report.quarantined.text
        for note in report.notes { text += "note: \(note)\n" }
        for damage in report.damage { text += "damage: \(damage)\n" }
        let count = report.damage.count
        text += report.isSound ? "sound\n" : "damaged: \(count) finding\(count == 1 ? "" : "s")\n"
        return text
    }

    private func json(_ report: VerifierReport) -> JSON {
        let torn = report.tornTail.map { torn in
            JSON.object([
                ("file", .string(torn.file)),
                ("offset", .number(torn.offset)),
                ("bytes", .number(torn.bytes)),
            ])
        }
        return .object([
            ("verdict", .string(report.isSound ? "sound" : "damaged")),
            ("store", .string(report.store)),
            ("directory", .string(store.directory)),
            ("bytes", .number(report.bytes)),
            ("segments", .number(report.segments)),
            ("groups", .number(report.groups)),
            ("records", .number(report.records)),
            ("messages", .number(report.messages)),
            ("entries", .number(report.entries)),
            ("footers", .number(report.footers)),
            (
                "checkpoints",
                .array(
                    report.checkpoints.map { checkpoint in
                        .object([
                            ("number", .number(checkpoint.number)),
                            ("file", .string(checkpoint.file)),
                            ("sound", .bool(checkpoint.isSound)),
                            ("in_use", .bool(checkpoint.number == report.checkpointInUse)),
                            ("position", .optional(checkpoint.position?.description)),
                        ])
                    }
                )
            ),
            ("queues", .number(report.queues)),
            ("unsettled", .number(report.unsettled)),
            ("torn_tail", torn ?? .null),
            ("damage", .array(report.damage.map(JSON.damage))),
            ("quarantined", report.quarantined.json),
            ("notes", .array(report.notes.map { .string($0) })),
        ])
    }
}
