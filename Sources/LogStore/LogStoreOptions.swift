package import Base

/// Sizes, intervals and limits of a store, each with its default.
package struct LogStoreOptions: Sendable, Equatable {
    /// When an append counts as durable.
    package enum Fsync: Sendable, Equatable {
        /// After `fdatasync` returned.
        case always
        /// Once written; synced at least this often.
        case every(Interval)
        /// Once written; the operating system syncs when it likes.
        case never
    }

    package var fsync = Fsync.always

    /// Bytes of one segment file.
    ///
    /// Larger: fewer files and seals; smaller: disk comes back sooner.
    package var segmentBytes = 64 << 20

    /// Recent log that stays in memory, so that consumers that keep up never read the disk.
    package var tailBytes = 16 << 20

    /// Bytes of one piece of that memory.
    package var chunkBytes = 1 << 20

    /// Appended but not yet durable bytes at which senders are held; they go on at half of it.
    package var unconfirmedBytesMax = 32 << 20

    /// How long settles that nobody waits for may stay in memory, to be written with what comes next.
    ///
    /// A crash within that time delivers those messages again. Zero: not at all. A consumer that takes one
    /// message after another costs a sync for each of them otherwise.
    package var settleDelay = Interval.zero

    /// Posting lists of sealed segments kept in memory.
    package var postingCacheBytes = 4 << 20

    /// Free disk below which new messages are refused; settles and checkpoints go on in it.
    ///
    /// Four segments and what a turn appends are enough for that, however long it lasts; with less,
    /// or when others take it, writes may have to wait until there is room.
    package var minFreeDiskBytes = 1 << 30

    /// Disk held in a file of its own, given up for settles and checkpoints when others have taken
    /// all the rest; 0: none.
    ///
    /// Enough for all that may be taken and not yet written (`unconfirmedBytesMax`), which stands before
    /// every settle, and for some hundred thousand settles, each in a write of its own.
    package var reserveBytes = 48 << 20

    /// Write zeros into a segment before it is used, so that a sync flushes data and no metadata.
    package var preallocates = true

    /// With `fsync` always: write the log past the system's memory, which would copy each byte once more
    /// and give it new pages, for consumers that keep up read from the tail and others from the disk.
    package var bypassesCache = true

    /// How long settled messages stay for replay.
    ///
    /// Whole segments: one is neither dropped nor packed before nothing was settled in it for so long.
    /// While less than `minFreeDiskBytes` is free they are given up, the oldest first.
    package var retain = Interval.zero

    /// Whether sealed segments are packed: rewritten without what is settled, in compressed blocks.
    package var packs = true
    /// A segment of which less than this share is live is packed.
    package var packBelowLive = 0.5
    /// Packing gives back at least so much, or waits.
    package var packGainBytesMin = 16 << 10
    /// A segment that was neither written nor read for so long is packed to be compressed.
    package var packColdAfter = Interval.seconds(60)
    /// Bytes of segments packed in a second, on average; a quarter of it where only compression gains.
    package var packBytesPerSecond = 128 << 20
    /// Plain bytes of one packed block, which one message costs to read.
    package var packBlockBytes = 128 << 10
    /// How packed blocks are compressed.
    package var packCodec = BlockCodec.zstd

    /// What a start does where it finds damage.
    package enum OnDamage: Sendable, Equatable {
        /// It keeps the damaged bytes aside, reports them and serves the rest.
        case quarantine
        /// It changes nothing and does not start.
        case refuse
    }

    package var onDamage = OnDamage.quarantine

    /// Time between checkpoints that only serve to give disk back.
    package var checkpointInterval = Interval.seconds(1)

    package init() {}

    /// Whether the log goes to the disk at once, so that the system's memory would be of no use to it.
    package var writesPastCache: Bool { bypassesCache && fsync == .always }
}

/// What fails in a store.
package enum LogStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another process has the directory open.
    case inUse(directory: String)
    /// A file call failed.
    case file(FileError)
    /// A file was written by a newer version of radiator.
    case newerFormat(file: String, version: UInt32, supported: UInt32)
    /// The directory holds files of two stores.
    case mixedStores(file: String)
    /// There is damage, and `LogStoreOptions.onDamage` is `refuse`; never empty.
    case damaged(directory: String, [Damage])
    /// The bytes of a file are damaged where no part of it can be used.
    case unusable(file: String, reason: String)

    package var description: String {
        switch self {
        case .inUse(let directory):
            "the store \(directory) is in use by another process (its lock file is held)"
        case .file(let error):
            error.description
        case .newerFormat(let file, let version, let supported):
            "\(file) has format version \(version); this program reads up to \(supported)"
        case .mixedStores(let file):
            "\(file) belongs to another store than the rest of the directory"
        case .damaged(let directory, let damage):
            Self.refusal(directory, damage)
        case .unusable(let file, let reason):
            "\(file) cannot be used: \(reason)"
        }
    }

    private static func refusal(_ directory: String, _ damage: [Damage]) -> String {
        let named = damage.prefix(3).map(\.description).joined(separator: " | ")
        let more = damage.count > 3 ? " | and \(damage.count - 3) more" : ""
        return
            "the store \(directory) is damaged, and on_damage = \"refuse\": \(named)\(more). Nothing "
            + "was changed. `radiator-log verify \(directory)` lists everything, `radiator-log repair "
            + "\(directory) --out NEW` makes a new store of what is sound, and on_damage = "
            + "\"quarantine\" starts with it"
    }
}

/// Bytes that cannot be read as what they should be, with everything that is known about them.
package struct Damage: Equatable, Sendable, CustomStringConvertible {
    package let file: String
    package let offset: Int
    package let length: Int
    /// The queue's name and entries, as far as they follow from what is around.
    package var queue: String?
    package var entries: [SequenceRange]
    package let reason: String

    package init(
        file: String,
        offset: Int,
        length: Int,
        queue: String? = nil,
        entries: [SequenceRange] = [],
        reason: String
    ) {
        self.file = file
        self.offset = offset
        self.length = length
        self.queue = queue
        self.entries = entries
        self.reason = reason
    }

    package var description: String {
        var text = "\(file): \(length) bytes at offset \(offset): \(reason)"
        if let queue { text += "; queue \(queue)" }
        if !entries.isEmpty {
            text += ", entries "
            text += entries.map { "\($0.first)...\($0.end - 1)" }.joined(separator: ", ")
        }
        return text
    }
}
