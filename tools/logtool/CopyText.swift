import Base
import LogStore

/// The reports of the verbs that copy a store's messages into a new one.
enum CopyText {
    static func text(_ report: CopyReport, out: String) -> String {
        var text = "\(report.messages) messages with \(report.entries) entries in \(report.queues) "
        text += "queues, \(ByteCount(report.bytes)); the store is \(out)\n"
        for note in report.notes { text += "note: \(note)\n" }
        for lost in report.lost { text += "lost: \(lost)\n" }
        let missed = Set(report.lost.map { "\($0.file):\($0.offset)" })
        for damage in report.damage where !missed.contains("\(damage.file):\(damage.offset)") {
            text += "damage: \(damage)\n"
        }
        return text
    }

    static func json(_ report: CopyReport, directory: String, out: String) -> JSON {
        .object([
            ("directory", .string(directory)),
            ("out", .string(out)),
            ("queues", .number(report.queues)),
            ("messages", .number(report.messages)),
            ("entries", .number(report.entries)),
            ("bytes", .number(report.bytes)),
            ("cut", .optional(report.cut?.description)),
            ("lost_entries", .number(report.lostEntries)),
            ("lost", .array(report.lost.map(JSON.damage))),
            ("damage", .array(report.damage.map(JSON.damage))),
            ("notes", .array(report.notes.map { .string($0) })),
        ])
    }
}
