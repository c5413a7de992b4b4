import Base

/// How long the segments of settled messages stay (`LogStoreOptions.retain`).
///
/// Kept are whole segments, by the time of the last settle in them, so that every message stays at
/// least that long after it was settled.
extension LogStore {
    /// Takes the time of a tick.
    func noteTime(_ wall: WallTime) {
        wallTime = wall
        state.segments.noteTime(options.retain > .zero ? wall : nil)
    }

    /// Whether a segment must not lose what is settled in it.
    func isRetained(_ info: SegmentInfo) -> Bool {
        guard options.retain > .zero else { return false }
        // Touched since the last tick, or never noted: its time begins with the next one.
        guard info.settledMilliseconds > 0, !state.segments.touched.contains(info.number) else {
            return true
        }
        let age = wallTime.milliseconds - min(wallTime.milliseconds, info.settledMilliseconds)
        return age < options.retain.milliseconds
    }

    /// The dead segments that may go with the next checkpoint.
    ///
    /// Linear in the dead segments.
    func droppable() -> Set<UInt32> {
        let dead = state.segments.dead
        guard options.retain > .zero else { return dead }
        let due = dead.filter { number in state.segments[number].map { !isRetained($0) } ?? true }
        // Live messages are promised, settled ones are not.
        guard due.isEmpty, isSpaceLow, let oldest = dead.min() else { return due }
        return [oldest]
    }

    /// The same, for the checkpoint that leaves them out.
    func takeDroppable() -> Set<UInt32> {
        let gone = droppable()
        let early = gone.count { number in state.segments[number].map(isRetained) ?? false }
        if early > 0 { notices.append(.retentionShortened(segments: early)) }
        return gone
    }
}
