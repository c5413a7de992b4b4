package import Base

/// One queue's reference to a message, as a reader of the log finds it.
package struct StoredEntry: Sendable, Equatable {
    package let queue: QueueID
    /// The queue's name.
    package let name: String
    package let sequence: EntrySequence
    /// How it came back last; nil if it never did, and for what is settled.
    package let requeue: Requeue?
    package var deliveryCount: UInt32 { requeue?.deliveryCount ?? 0 }
    /// Done, or of a queue that is gone.
    package let isSettled: Bool
}

/// A message record with the entries that were asked for; headers and body are lent beside it.
package struct StoredMessage: Sendable, Equatable {
    /// Where its record stands.
    package let position: LogPosition
    /// When it was taken.
    package let time: WallTime
    /// When it expires, in ms since 1970; 0 = never.
    package let expires: UInt64
    /// Never empty; in the order of the record.
    package let entries: [StoredEntry]
}

/// Which entries a reader asks for.
package enum EntryChoice: Sendable, Equatable {
    case all
    case unsettled
    /// Those whose message is still in the log although they are done.
    case settled
}

/// What reading messages met beside them.
package struct ReaderReport: Sendable, Equatable {
    package var damage: [Damage] = []
    /// No segment was left out for its age.
    package var isWhole = true
}

/// One queue as the next start finds it.
package struct StoredQueue: Sendable, Equatable {
    package let name: String
    /// Its oldest unsettled entry, or the next one if it is empty.
    package let first: EntrySequence
    package let next: EntrySequence
    package let messages: Int
}

/// The state that the next start would find, and where the log ends then.
struct FinalState<Files: FileSystem> {
    let state: StoreState
    let end: LogPosition
    let outcome: Replay<Files>.Outcome
    let replay: Replay<Files>
}

extension InspectorDirectory {
    /// Replays like a start, from the newest checkpoint that can be used, and before `end` if given.
    func finalState(
        before end: LogPosition? = nil,
        observer: (any ReplayObserver)? = nil
    ) throws(LogStoreError) -> FinalState<Files> {
        var content: CheckpointContent?
        for header in checkpoints.reversed() where content == nil {
            if let end, header.position > end { continue }
            content = try self.content(header)
        }
        var scope = scope
        scope.end = end
        scope.observer = observer
        // A sound checkpoint vouches for the log up to its position, also where it is not used.
        let known = checkpoints.map(\.position).max() ?? LogPosition(value: 0)
        scope.durable = end.map { min($0, known) } ?? known
        return try finalState(content, scope, listing.numbers)
    }

    /// Replays the segments from their first bytes, as far as `end`.
    func wholeLog(
        _ segments: [UInt32],
        before end: LogPosition?,
        _ observer: any ReplayObserver
    ) throws(LogStoreError) -> Replay<Files> {
        var scope = scope
        scope.end = end
        scope.observer = observer
        scope.durable = end ?? checkpoints.map(\.position).max() ?? LogPosition(value: 0)
        return try finalState(nil, scope, segments).replay
    }

    private func finalState(
        _ content: CheckpointContent?,
        _ scope: ReplayScope,
        _ segments: [UInt32]
    ) throws(LogStoreError) -> FinalState<Files> {
        let wanted = Set(segments)
        var replay = Replay(
            files: files,
            directory: directory,
            store: store,
            checkpoint: content,
            segments: listing.segments.filter(wanted.contains),
            packed: listing.packed.filter { wanted.contains($0.segment) },
            scope: scope
        )
        let outcome = try replay.run(now: WallTime(milliseconds: 0))
        return FinalState(
            state: outcome.state,
            end: scope.end.map { min($0, outcome.end) } ?? outcome.end,
            outcome: outcome,
            replay: replay
        )
    }

    /// Damage of both lists, each file's from the first that has any; without files that a daemon
    /// removed or gave to another segment meanwhile.
    func damage(
        _ first: [Damage],
        _ second: [Damage]
    ) throws(LogStoreError) -> [Damage] {
        let known = Set(first.map(\.file))
        let all = first + second.filter { !known.contains($0.file) }
        guard isLive, !all.isEmpty else { return all }
        let names: Set<String>
        do throws(FileError) { names = Set(try files.list(directory)) } catch {
            throw .file(error)
        }
        return all.filter { names.contains($0.file) }
    }

    /// Bytes of the given segments' files.
    func totalBytes(_ segments: [UInt32]) throws(LogStoreError) -> Int {
        var total = 0
        for segment in segments {
            let packed = listing.packed.first { $0.segment == segment }
            let isSealed = packed == nil || listing.segments.contains(segment)
            let name = isSealed ? FileNames.segment(segment) : packed?.name ?? ""
            do throws(FileError) {
                let file = try files.open(storeFiles.path(name), .read)
                defer { files.close(file) }
                total += try files.size(file)
            } catch {
                if isLive, error.reason == .notFound { continue }
                throw .file(error)
            }
        }
        return total
    }
}
