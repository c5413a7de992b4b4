import ArgumentParser
import Base
import LogStore

/// `radiator-log inspect`: segments, queues and totals.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows segments, queues, and live and dead bytes.",
        discussion: """
            Shows the store as the next start would find it: from the newest checkpoint and the log \
            behind it. Only that part of the log is checked on the way; `verify` reads everything.

            Live bytes are header blocks and bodies of unsettled messages, counted once for each \
            queue; what else a segment holds is dead: settled messages, state records, framing.

            EXIT STATUS
              0  read, no damage met        1  damage met on the way
              2  cannot read: no store there, no permission, a newer format, or in use

            EXAMPLES
              radiator-log inspect /var/lib/radiator
              radiator-log inspect --json DIR | jq '.queues[] | select(.messages > 1000) | .name'
            """
    )

    @OptionGroup var store: StoreArguments

    func run() throws {
        let report = try reportingFailure(json: store.json) {
            try Inspector.runOnDisk(store.directory, isLive: store.live)
        }
        print(store.json ? json(report).text : text(report), terminator: store.json ? "\n" : "")
        if !report.damage.isEmpty { throw ExitStatus.damage }
    }

    // MARK: Text

    private func text(_ report: InspectorReport) -> String {
        var text = "store \(report.store) in \(store.directory)\n"
        if let checkpoint = report.checkpointInUse, let position = report.checkpointPosition {
            text += "checkpoint \(checkpoint), up to position \(position)"
        } else {
            text += "no checkpoint that can be used"
        }
        text += "; the log goes on at \(report.end)\n\n"
        text += segments(report).text + "\n"
        text += queues(report).text + "\n"
        text += "\(report.messages) unsettled messages in \(report.queues.count) queues; "
        text += "\(size(Int(clamping: report.liveBytes))) live, \(size(report.deadBytes)) dead, "
        if report.retainedBytes > 0 { text += "\(size(report.retainedBytes)) kept for replay, " }
        text += "\(size(report.onDiskBytes)) on disk"
        text += report.spareFiles > 0 ? ", \(report.spareFiles) prepared ahead\n" : "\n"
        text += report.quarantined.text
        if let file = report.tornFile {
            text += "torn tail: \(size(report.tornBytes)) at the end of \(file), never confirmed\n"
        }
        for note in report.notes { text += "note: \(note)\n" }
        for damage in report.damage { text += "damage: \(damage)\n" }
        return text
    }

    private func segments(_ report: InspectorReport) -> TextTable {
        var table = TextTable([
            "segment", "state", "file", "used", "live", "dead", "groups", "kept because",
        ])
        for segment in report.segments {
            let groups = segment.firstGroup.map { first in
                "\(first)-" + (segment.lastGroup.map { "\($0)" } ?? "?")
            }
            table.add([
                "\(segment.number)",
                segment.file.hasSuffix(".pak") ? "packed" : segment.isSealed ? "sealed" : "open",
                size(segment.fileBytes), size(segment.usedBytes),
                size(Int(clamping: segment.liveBytes)), size(segment.deadBytes),
                groups ?? "-", reason(segment.keep),
            ])
        }
        return table
    }

    private func queues(_ report: InspectorReport) -> TextTable {
        var table = TextTable(["queue", "messages", "size", "oldest", "taken", "next", "name"])
        for queue in report.queues {
            table.add([
                "\(queue.id.value)", "\(queue.messages)", size(Int(clamping: queue.bytes)),
                queue.oldest.map { "\($0.value)" } ?? "-",
                queue.oldestMilliseconds.map(CivilTime.text) ?? "-",
                "\(queue.next.value)", queue.name,
            ])
        }
        return table
    }

    private func size(_ bytes: Int) -> String { "\(ByteCount(bytes))" }

    private func reason(_ keep: InspectorReport.Keep) -> String {
        switch keep {
        case .active: "the log goes on in it"
        case .holdsEntries(let entries, let queues):
            "\(entries) unsettled entries of \(queues) queues"
        case .awaitsCheckpoint: "nothing live; goes after the next checkpoints"
        case .retained(let since?):
            "nothing live; kept for replay, last settled \(CivilTime.text(since))"
        case .retained(nil): "nothing live; kept for replay"
        case .dropped: "nothing live; an older checkpoint may need it"
        case .neverBegun: "prepared, never begun; goes at the next start"
        case .unknown: "no checkpoint mentions it"
        }
    }

    // MARK: JSON

    private func json(_ report: InspectorReport) -> JSON {
        .object([
            ("store", .string(report.store)),
            ("directory", .string(store.directory)),
            ("checkpoint", .optional(report.checkpointInUse)),
            ("checkpoint_position", .optional(report.checkpointPosition?.description)),
            ("end", .string(report.end.description)),
            ("epoch", .number(report.epoch)),
            ("segments", .array(report.segments.map(json))),
            ("queues", .array(report.queues.map(json))),
            (
                "totals",
                .object([
                    ("messages", .number(report.messages)),
                    ("live_bytes", .number(report.liveBytes)),
                    ("dead_bytes", .number(report.deadBytes)),
                    ("retained_bytes", .number(report.retainedBytes)),
                    ("on_disk_bytes", .number(report.onDiskBytes)),
                    ("spare_files", .number(report.spareFiles)),
                    ("quarantined_files", .number(report.quarantined.count)),
                    ("quarantined_bytes", .number(report.quarantined.reduce(0) { $0 + $1.bytes })),
                ])
            ),
            ("torn_file", .optional(report.tornFile)),
            ("torn_bytes", .number(report.tornBytes)),
            ("damage", .array(report.damage.map(JSON.damage))),
            ("quarantined", report.quarantined.json),
            ("notes", .array(report.notes.map { .string($0) })),
        ])
    }

    private func json(_ segment: InspectorReport.Segment) -> JSON {
        .object([
            ("number", .number(segment.number)),
            ("file", .string(segment.file)),
            ("sealed", .bool(segment.isSealed)),
            ("file_bytes", .number(segment.fileBytes)),
            ("used_bytes", .number(segment.usedBytes)),
            ("live_bytes", .number(segment.liveBytes)),
            ("dead_bytes", .number(segment.deadBytes)),
            ("first_group", .optional(segment.firstGroup)),
            ("last_group", .optional(segment.lastGroup)),
            ("keep", .string(name(segment.keep))),
            ("keep_reason", .string(reason(segment.keep))),
        ])
    }

    private func name(_ keep: InspectorReport.Keep) -> String {
        switch keep {
        case .active: "active"
        case .holdsEntries: "live"
        case .awaitsCheckpoint: "dead"
        case .retained: "retained"
        case .dropped: "dropped"
        case .neverBegun: "never_begun"
        case .unknown: "unknown"
        }
    }

    private func json(_ queue: InspectorReport.Queue) -> JSON {
        .object([
            ("id", .number(queue.id.value)),
            ("name", .string(queue.name)),
            ("messages", .number(queue.messages)),
            ("bytes", .number(queue.bytes)),
            ("oldest_sequence", .optional(queue.oldest?.value)),
            ("oldest_time_ms", .optional(queue.oldestMilliseconds)),
            ("next_sequence", .number(queue.next.value)),
            ("requeued", .number(queue.requeued)),
        ])
    }
}
