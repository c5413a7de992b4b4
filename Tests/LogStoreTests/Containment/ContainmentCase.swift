import Base

@testable import LogStore

/// One way of damaging a log, and what came of it.
struct ContainmentCase: CustomStringConvertible {
    let log: ContainmentLog
    /// The files as they are now; nil: gone.
    let changes: [String: [UInt8]?]
    let description: String

    /// The bytes that are other than they were; a file's missing end counts as hit.
    private var hit: [String: [Range<Int>]] {
        var hit: [String: [Range<Int>]] = [:]
        for (name, new) in changes {
            let old = log.bytes(name)
            let new = new ?? []
            var ranges: [Range<Int>] = []
            for offset in 0..<min(old.count, new.count) where old[offset] != new[offset] {
                if let last = ranges.last, last.upperBound == offset {
                    ranges[ranges.count - 1] = last.lowerBound..<offset + 1
                } else {
                    ranges.append(offset..<offset + 1)
                }
            }
            if new.count < old.count { ranges.append(new.count..<old.count) }
            if !ranges.isEmpty { hit[name] = ranges }
        }
        return hit
    }

    /// Opens the damaged store and judges what is there; nil if all is well.
    ///
    /// `tools`: verify and repair must agree with the start. `twice`: a second start must agree with
    /// the first.
    func problem(tools: Bool, twice: Bool) -> String? {
        do {
            let model = ContainmentModel(
                log,
                hit: hit,
                gone: Set(changes.filter { $0.value == nil }.keys)
            )
            let files = log.changed(changes)
            let found = try open(files.copy(), twice ? model : nil)
            if let text = model.problem(found.first) { return "\(self): \(text)" }
            if let text = found.second { return "\(self): opened again: \(text)" }
            if tools, let text = try toolProblem(files, found.first, model) {
                return "\(self): \(text)"
            }
            return nil
        } catch {
            return "\(self): \(error)"
        }
    }

    private func open(
        _ files: ScratchFiles,
        _ again: ContainmentModel?
    ) throws -> (first: ContainmentState, second: String?) {
        let store = try InlineStore(files, ContainmentLog.directory, ContainmentLog.quietOptions)
        let state = ContainmentState(reading: store)
        guard again != nil else { return (state, nil) }
        store.store.requestCheckpoint()
        store.run()
        store.close()
        let next = try InlineStore(files, ContainmentLog.directory, ContainmentLog.quietOptions)
        return (state, state.difference(to: ContainmentState(reading: next)))
    }

    private func toolProblem(
        _ files: ScratchFiles,
        _ found: ContainmentState,
        _ model: ContainmentModel
    ) throws -> String? {
        let verdict = try Verifier.run(files, directory: ContainmentLog.directory)
        if verdict.isSound, model.hitsVouchedPiece {
            return "verify calls it sound"
        }
        if verdict.isSound, !found.damage.isEmpty {
            return "verify does not know of \(found.damage)"
        }
        return try repairProblem(files, found)
    }

    /// `repair` brings over exactly what the start serves.
    private func repairProblem(
        _ files: ScratchFiles,
        _ found: ContainmentState
    ) throws -> String? {
        var generator = SeededGenerator(seed: 7)
        let target = ScratchFiles()
        let builder = try StoreBuilder(
            target,
            directory: "/new",
            now: WallTime(milliseconds: 5),
            using: &generator
        )
        _ = try StoreCopier.repair(files, directory: ContainmentLog.directory, into: builder)
        var copied: [String: [ContainmentState.Entry]] = [:]
        for entry in try entries(target, "/new") {
            copied[entry.queue, default: []].append(
                .init(deliveryCount: entry.deliveryCount, bytes: entry.headers + entry.body)
            )
        }
        for queue in found.queues.values {
            let served = queue.entries.sorted { $0.key < $1.key }.map(\.value)
            if copied[queue.name] ?? [] != served {
                let count = copied[queue.name]?.count ?? 0
                return
                    "repair has \(count) entries of \(queue.name), not \(served.count), or others"
            }
        }
        return nil
    }
}

/// Runs cases and keeps what went wrong.
func problems(
    _ cases: some Sequence<ContainmentCase>,
    tools: (Int) -> Bool = { _ in false },
    twice: (Int) -> Bool = { _ in false }
) -> [String] {
    var problems: [String] = []
    for (index, one) in cases.enumerated() {
        if let text = one.problem(tools: tools(index), twice: twice(index)) {
            problems.append(text)
            if problems.count == 2 { break }
        }
    }
    return problems
}
