import Base
import TestSupport

@testable import LogStore

/// Damage to packed segments.
///
/// The form that the newest checkpoint names serves. Damage to it costs the entries of the blocks that it
/// hit; header, posting lists and index are all made again from the rest. Another form of the segment
/// serves when the file is gone. Damage to a form that does not serve costs nothing.
extension Simulation {
    /// The packed segments that are there.
    func packedForms() throws -> [PackedForm] {
        try files.list(Self.directory).sorted().compactMap { name in
            guard case .packed(let file) = FileNames.kind(of: name) else { return nil }
            return try PackedForm(files, directory: Self.directory, store: store.id, file)
        }
    }

    /// Damages one of the packed segments and says what that may cost.
    func harmPacked(_ form: PackedForm, _ newestCheckpoint: String) throws -> Hit {
        var hit = Hit()
        hit.file = form.file.name
        hit.isPacked = true
        let path = Self.directory + "/" + form.file.name
        let before = try files.contents(path)
        var isGone = false
        switch Int.random(in: 0..<6, using: &random) {
        case 0:
            note("\(form.file.name) is removed")
            try files.remove(path)
            counts[.lostFiles] += 1
            isGone = true
        case 1:
            let length = Int.random(in: 0..<form.byteCount, using: &random)
            note("\(form.file.name) is cut to \(length) of \(form.byteCount) bytes")
            let file = try files.open(path, .update)
            try files.truncate(file, to: length)
            try files.syncData(file)
            files.close(file)
            counts[.cuts] += 1
        default:
            // A block is one record: a move of it would be the only thing to look like another one.
            try change(path, end: form.byteCount, [])
        }
        let after = isGone ? [] : try files.contents(path)
        hit.bytes = before.indices.filter { $0 >= after.count || before[$0] != after[$0] }
        let ends = (hit.bytes.first ?? 0, hit.bytes.last ?? 0)
        note("\(hit.bytes.count) bytes of \(hit.file) are damaged, \(ends.0)...\(ends.1)")
        let serving = try servingForm(of: form.file.segment, newestCheckpoint)
        hit.isServing = serving == form.file
        let others = try files.list(Self.directory).contains { name in
            switch FileNames.kind(of: name) {
            case .segment(let number): number == form.file.segment
            case .packed(let file): file.segment == form.file.segment && file != form.file
            default: false
            }
        }
        guard hit.isServing, !(isGone && others) else { return hit }
        let bytes = Set(hit.bytes)
        hit.mayMiss = form.entries { range in isGone || range.contains(where: bytes.contains) }
        // The whole of a small file: nothing is left to tell which store it belongs to.
        return hit
    }

    /// The form of a segment that a checkpoint names.
    func servingForm(of segment: UInt32, _ checkpoint: String) throws -> SegmentFile? {
        let bytes = try files.contents(Self.directory + "/" + checkpoint)
        return try CheckpointFormat.decode(bytes.span.bytes).state.segments[segment]?.file
    }

    /// Every missing entry must be named, by its queue, with the file that was hit; and nothing else.
    func checkPackedReport(
        _ report: RecoveryReport,
        _ hit: Hit,
        _ found: ModelState
    ) throws {
        let told = report.damage + damage
        for known in told where known.file != hit.file {
            throw SimulationFailure(text: "\(hit.file) is hit, but not \(known)")
        }
        if hit.bytes.isEmpty, let known = told.first {
            throw SimulationFailure(text: "nothing is hit, but: \(known)")
        }
        for (id, queue) in history.current.queues {
            for entry in queue.entries
            where found.queues[id]?.index(of: entry.sequence) == nil {
                counts[.lostEntries] += 1
                let isNamed = told.contains { known in
                    known.queue == queue.name
                        && known.entries.contains {
                            $0.first <= entry.sequence && entry.sequence < $0.end
                        }
                }
                guard isNamed else {
                    throw SimulationFailure(
                        text: "entry \(entry.sequence) of \(queue.name) is lost without a word: "
                            + "\(report), \(damage)"
                    )
                }
            }
        }
    }
}
