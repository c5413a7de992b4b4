import Base
import TestSupport

@testable import LogStore

/// A sound packed segment: where its blocks stand, and what they hold.
struct PackedForm {
    /// One block of records.
    struct Block {
        let range: Range<Int>
        let entries: [SettleKey]
    }

    let file: SegmentFile
    let byteCount: Int
    private(set) var blocks: [Block] = []
    /// Where the posting lists and the index begin, which both can be made again from the blocks.
    let tailStart: Int

    /// Reads a packed segment in which nothing is damaged.
    init(
        _ files: SimulatedFileSystem,
        directory: String,
        store: StoreID,
        _ file: SegmentFile
    ) throws {
        self.file = file
        let handle = try files.open(directory + "/" + file.name, .read)
        defer { files.close(handle) }
        guard var reader = try PackedReader(files, handle, file, store: store),
            reader.faults.isEmpty
        else { throw SimulationFailure(text: "a sound \(file.name) cannot be read") }
        byteCount = try files.size(handle)
        tailStart = reader.index.footerOffset
        let starts = reader.index.lines.map(\.fileOffset) + [tailStart]
        for number in reader.index.lines.indices {
            guard try reader.loadBlock(number) else {
                throw SimulationFailure(text: "a sound block of \(file.name) cannot be read")
            }
            let bytes = reader.plain.span.bytes
            var entries: [SettleKey] = []
            for place in reader.places {
                guard let header = reader.record(at: place) else {
                    throw SimulationFailure(text: "a record of \(file.name) is not sound")
                }
                guard let record = MessageRecord(header, bytes, at: place.local) else { continue }
                for index in 0..<record.entryCount {
                    let (queue, sequence) = record.entry(index, in: bytes)
                    entries.append(SettleKey(queue: queue.value, sequence: sequence.value))
                }
            }
            blocks.append(Block(range: starts[number]..<starts[number + 1], entries: entries))
        }
    }

    /// The entries in blocks that have bytes of which the test holds.
    func entries(where isHit: (Range<Int>) -> Bool) -> Set<SettleKey> {
        var entries: Set<SettleKey> = []
        for block in blocks where isHit(block.range) { entries.formUnion(block.entries) }
        return entries
    }
}
