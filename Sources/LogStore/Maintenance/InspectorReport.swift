package import Base

/// What a store's directory holds, as the next start would find it.
package struct InspectorReport: Sendable, Equatable {
    /// Why a segment's file is still there.
    package enum Keep: Sendable, Equatable {
        /// The log goes on in it.
        case active
        /// Unsettled entries of so many queues stand in it.
        case holdsEntries(entries: Int, queues: Int)
        /// Nothing in it is unsettled; the next checkpoints leave it out.
        case awaitsCheckpoint
        /// Nothing in it is unsettled; `retain` keeps it, since something was last settled in it at this
        /// time (ms since 1970; nil if that was not noted yet).
        case retained(since: UInt64?)
        /// The checkpoint in use leaves it out already; an older one may still need it.
        case dropped
        /// It was prepared and never begun.
        case neverBegun
        /// It is older than the checkpoint, which does not know it.
        case unknown
    }

    package struct Segment: Sendable, Equatable {
        package let number: UInt32
        package let file: String
        /// Length of the file; an active one is written with zeros ahead of use.
        package let fileBytes: Int
        /// Bytes that belong to the log.
        package let usedBytes: Int
        package let isSealed: Bool
        package let firstGroup: UInt64?
        package let lastGroup: UInt64?
        /// Header blocks and bodies of its unsettled entries; a message counts once for each queue.
        package let liveBytes: UInt64
        package let keep: Keep

        /// What the log could do without: used bytes that are not live.
        package var deadBytes: Int { max(0, usedBytes - Int(clamping: liveBytes)) }
    }

    package struct Queue: Sendable, Equatable {
        package let id: QueueID
        package let name: String
        package let messages: Int
        package let bytes: UInt64
        /// The oldest unsettled entry, if there is one.
        package let oldest: EntrySequence?
        /// When it was taken, in ms since 1970; nil if its record cannot be read.
        package var oldestMilliseconds: UInt64?
        package let next: EntrySequence
        /// Unsettled entries that were delivered before and came back.
        package let requeued: Int
    }

    package let store: String
    package var epoch: UInt64 = 0
    package var checkpointInUse: UInt64?
    package var checkpointPosition: LogPosition?
    /// Where the log goes on.
    package var end = LogPosition(value: 0)
    package var segments: [Segment] = []
    package var queues: [Queue] = []
    /// Bytes of all files in the directory.
    package var onDiskBytes = 0
    package var spareFiles = 0
    /// Copies of damaged bytes that earlier starts and reads kept aside.
    package var quarantined: [QuarantinedFile] = []
    package var tornBytes = 0
    package var tornFile: String?
    /// Damage met on the way; `Verifier` reads the rest too.
    package var damage: [Damage] = []
    package var notes: [String] = []

    package init(store: String) {
        self.store = store
    }

    package var messages: Int { queues.reduce(0) { $0 + $1.messages } }
    package var liveBytes: UInt64 { segments.reduce(0) { $0 + $1.liveBytes } }
    package var deadBytes: Int { segments.reduce(0) { $0 + $1.deadBytes } }
    /// Dead bytes in segments that stay for replay.
    package var retainedBytes: Int {
        segments.reduce(0) { sum, segment in
            if case .retained = segment.keep { sum + segment.deadBytes } else { sum }
        }
    }
}
