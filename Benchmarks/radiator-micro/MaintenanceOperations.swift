import Base
import LogStore

/// What the store does with its files at the start, in the background and when it is asked.
enum MaintenanceOperations {
    static let all = [
        Operation(name: "recover", prepare: recover),
        Operation(name: "pack", prepare: pack),
        Operation(name: "verify", prepare: verify),
    ]

    /// One message, and half a settle, read back when a store is opened without a checkpoint to begin at.
    private static func recover(_ directory: String) throws -> Operation.Work {
        try fill(directory)
        return {
            let opened = try DirectStore.open(directory)
            guard opened.report.messages == 5000 else {
                throw WrongRun("\(opened.report.messages) messages were recovered")
            }
            return 10_000
        }
    }

    /// The same, verified.
    private static func verify(_ directory: String) throws -> Operation.Work {
        try fill(directory)
        return {
            let report = try Verifier<PosixFileSystem>.runOnDisk(
                directory,
                isLive: false,
                progress: { _, _ in }
            )
            guard report.damage.isEmpty else { throw WrongRun("\(report.damage)") }
            return 10_000
        }
    }

    /// A log of 10,000 messages of which every other one is settled, one by one.
    private static func fill(_ directory: String) throws {
        let store = try DirectStore(directory)
        try store.send(10_000)
        try store.settle(stride(from: 1, through: 10_000, by: 2))
        store.close()
    }

    /// One message copied into a packed segment, and three settled ones that stay behind.
    ///
    /// Without compression, which is the library's work and would hide ours.
    private static func pack(_ directory: String) throws -> Operation.Work {
        var options = DirectStore.options
        options.segmentBytes = 4 << 20
        options.packCodec = .stored
        let store = try DirectStore(directory, options)
        try store.send(14_000)
        try store.settle((1...14_000).lazy.filter { $0 % 4 != 0 })
        store.log.requestCheckpoint()
        store.endTurn()
        store.tick()
        guard let job = store.packing else { throw WrongRun("there is nothing to pack") }
        return {
            guard case .packed(_, .packed(_, let messages)) = store.perform(job) else {
                throw WrongRun("the segment was not packed")
            }
            return messages
        }
    }
}
