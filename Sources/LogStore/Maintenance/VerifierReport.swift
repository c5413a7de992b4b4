/// What reading a whole store found.
package struct VerifierReport: Sendable, Equatable {
    /// One checkpoint file and whether it can be used.
    package struct Checkpoint: Sendable, Equatable {
        package let number: UInt64
        package let file: String
        /// Nil for a damaged one.
        package let position: LogPosition?
        package let isSound: Bool
    }

    /// The unfinished last write, which is no damage: it was never confirmed.
    package struct TornTail: Sendable, Equatable {
        package let file: String
        package let offset: Int
        package let bytes: Int
    }

    package let store: String
    package var segments = 0
    package var packedSegments = 0
    /// Bytes of all segments that belong to the log.
    package var bytes = 0
    package var groups = 0
    package var records = 0
    /// Message records, and the entries that they list.
    package var messages = 0
    package var entries = 0
    package var footers = 0
    package var checkpoints: [Checkpoint] = []
    /// The checkpoint that the next start uses.
    package var checkpointInUse: UInt64?
    /// Queues and unsettled entries that the next start finds.
    package var queues = 0
    package var unsettled = 0
    package var tornTail: TornTail?
    /// Everything that is not as it must be; segments first, in log order.
    package var damage: [Damage] = []
    /// Copies of damaged bytes that starts and reads kept aside: damage of the past, told then.
    package var quarantined: [QuarantinedFile] = []
    /// What is worth knowing and is no damage.
    package var notes: [String] = []

    package init(store: String) {
        self.store = store
    }

    /// Whether everything can be read as it was written.
    package var isSound: Bool { damage.isEmpty }
}
