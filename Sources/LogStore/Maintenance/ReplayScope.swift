/// How a replay treats the files, and how far it goes.
///
/// The server and the offline tools run the same replay; they differ in these points only.
struct ReplayScope {
    /// A writer may be at work on the same files: what does not fit is read again once, and files
    /// that have gone are left out.
    var isLive = false
    /// Everything before it is known to have been durable, beside what a checkpoint says.
    var durable = LogPosition(value: 0)
    /// Records from here on are not applied; nil for all.
    var end: LogPosition?
    /// Is told what the replay meets.
    var observer: (any ReplayObserver)?
}

/// Sees what a replay meets, in order, each before it is applied.
protocol ReplayObserver: AnyObject {
    /// True once it has seen enough: the replay ends there, as if the log did.
    var isDone: Bool { get }

    /// A segment file is about to be scanned; a packed one names no queue that is settled in it.
    func segmentBegins(_ segment: UInt32, size: Int, isPacked: Bool)

    /// One event of the scan; `bytes` hold a record at `local`, and `state` is what all before lead to.
    func meets(
        _ event: ScanEvent,
        at position: LogPosition,
        in bytes: RawSpan,
        local: Int,
        state: StoreState
    )

    /// The scan of a segment is done; `end` is where its last record ends.
    func segmentEnds(_ segment: UInt32, _ kind: ScanEnd, end: LogPosition, state: StoreState)

    /// The daemon removed a file of the segment since the directory was listed.
    func segmentWent(_ segment: UInt32)
}

extension ReplayObserver {
    /// An observer that looks at everything and needs nothing else.
    var isDone: Bool { false }

    func segmentBegins(_ segment: UInt32, size: Int, isPacked: Bool) {}

    func segmentEnds(_ segment: UInt32, _ kind: ScanEnd, end: LogPosition, state: StoreState) {}

    func segmentWent(_ segment: UInt32) {}
}
