import Base
import Testing
import TestSupport

@testable import LogStore

/// Errors that pass: everything goes on by itself, and nothing is left lying about.
@Suite struct PassingFaultTests {
    private static let inputOutput = FileError.Reason.other(5)

    /// Fills the active segment, so that the next one is begun.
    private func fillSegment(_ store: ManualStore, _ queue: QueueID) {
        for _ in 0..<20 { store.send(1000, to: queue) }
    }

    private func names(_ store: ManualStore, _ ending: String) throws -> [String] {
        try store.files.list("/data").filter { $0.hasSuffix(ending) }.sorted()
    }

    @Test(
        "a write that finds too many files open waits, refuses sends, and goes on at a tick",
        arguments: [
            (SimulatedOperation.open, true), (.create, false), (.syncDirectory, false),
            (.syncDirectory, true),
        ]
    )
    func tooManyOpenFiles(operation: SimulatedOperation, preallocates: Bool) throws {
        var options = ManualStore.options
        options.preallocates = preallocates
        let store = try ManualStore(options)
        let queue = store.store.declare("/queue/a")
        store.drain()
        fillSegment(store, queue)
        store.endTurn()
        let write = try #require(store.takeWrite())
        store.files.fail(SimulatedFault(operation, .tooManyOpenFiles, times: 1))
        store.complete(store.perform(write))
        #expect(store.store.refusal?.contains("tooManyOpenFiles") == true)
        #expect(store.store.pendingGroup != nil)
        store.tick(after: .seconds(1))
        store.drain()
        #expect(!store.takeDurable().hasFailed)
        #expect(store.store.pendingGroup == nil)
        #expect(store.store.refusal == nil)
    }

    @Test("a disk is believed its fifth error of a read; too many open files do not count")
    func reads() throws {
        let store = try ManualStore()
        let queue = store.store.declare("/queue/a")
        for _ in 0..<2 {
            fillSegment(store, queue)
            store.drain()
        }
        _ = store.store.takeNotices()
        #expect(store.fetch(queue, messagesMax: 2) == nil)
        /// Has one read fail for each reason; the tick after it brings the next.
        func fail(_ reasons: [FileError.Reason]) throws {
            for reason in reasons {
                store.files.fail(SimulatedFault(.open, reason, times: 1, pathSuffix: ".log"))
                store.complete(store.perform(try #require(store.takeRead())))
                #expect(store.store.takeNotices().isEmpty)
                store.tick(after: .seconds(1))
            }
        }
        let short = Array(repeating: FileError.Reason.tooManyOpenFiles, count: 6)
        let bad = Array(repeating: Self.inputOutput, count: 4)
        try fail(short + bad + short)
        store.complete(store.perform(try #require(store.takeRead())))
        #expect(store.takeFetched().map(\.sequences) == [[1, 2]])
        // Once more, with an error more.
        #expect(store.fetch(queue, messagesMax: 2) == nil)
        try fail(bad + short)
        store.files.fail(
            SimulatedFault(.open, Self.inputOutput, times: 1, pathSuffix: ".log")
        )
        store.complete(store.perform(try #require(store.takeRead())))
        let isDamaged = store.store.takeNotices().contains {
            if case .damaged = $0 { true } else { false }
        }
        #expect(isDamaged)
    }

    @Test("any other error while a segment is begun ends the store")
    func failedBegin() throws {
        let store = try ManualStore()
        let queue = store.store.declare("/queue/a")
        store.drain()
        fillSegment(store, queue)
        store.files.fail(SimulatedFault(.syncDirectory, Self.inputOutput))
        store.drain()
        #expect(store.takeDurable().hasFailed)
    }

    @Test(
        "a checkpoint that failed leaves no third file, whatever of it was done",
        arguments: [SimulatedOperation.syncDirectory, .rename, .write, .syncData, .create]
    )
    func failedCheckpoint(operation: SimulatedOperation) throws {
        let store = try ManualStore()
        for number in 0..<6 {
            let queue = store.store.declare("/queue/\(number)")
            store.send(to: queue)
            store.drain()
            if number == 2 || number == 3 {
                store.files.fail(
                    SimulatedFault(operation, Self.inputOutput, pathSuffix: suffix(operation))
                )
            }
            store.store.requestCheckpoint()
            store.drain()
        }
        #expect(!store.takeDurable().hasFailed)
        #expect(try names(store, ".chk").count == 2)
        #expect(try names(store, ".tmp") == [])
    }

    private func suffix(_ operation: SimulatedOperation) -> String {
        operation == .syncDirectory ? "" : ".chk.tmp"
    }

    @Test("a checkpoint that cannot be removed is removed behind the next one")
    func failedRemoval() throws {
        let store = try ManualStore()
        for number in 0..<5 {
            if number == 3 {
                store.files.fail(
                    SimulatedFault(.remove, Self.inputOutput, times: 1, pathSuffix: ".chk")
                )
            }
            store.store.requestCheckpoint()
            store.drain()
            if number == 3 { #expect(try names(store, ".chk").count == 3) }
        }
        #expect(try names(store, ".chk").count == 2)
    }

    @Test("what could not be tidied up after an error is removed at a later tick")
    func litter() throws {
        let store = try ManualStore()
        store.files.fail(SimulatedFault(.syncData, Self.inputOutput, pathSuffix: ".chk.tmp"))
        store.files.fail(SimulatedFault(.remove, Self.inputOutput, pathSuffix: ".chk.tmp"))
        store.store.requestCheckpoint()
        store.drain()
        #expect(try names(store, ".tmp").count == 1)
        store.tick(after: .seconds(1))
        store.drain()
        #expect(try names(store, ".tmp") == [])
    }

    @Test("a packed form of which the name could not be synced goes, and packing is tried again")
    func failedPacking() throws {
        var options = ManualStore.options
        options.packGainBytesMin = 1
        let store = try ManualStore(options)
        let queue = store.store.declare("/queue/a")
        fillSegment(store, queue)
        store.drain()
        for sequence in 1...10 as ClosedRange<UInt64> {
            store.store.settle(queue, EntrySequence(sequence), bytes: 1000, reason: 1)
        }
        store.drain()
        store.tick(after: .seconds(2))
        let pack = try #require(
            store.takeJob { if case .pack = $0 { true } else { false } }
        )
        store.drain()
        store.files.fail(SimulatedFault(.syncDirectory, Self.inputOutput))
        store.complete(store.perform(pack))
        #expect(try names(store, ".pak") == [])
        store.tick(after: .seconds(11))
        store.drain()
        #expect(try names(store, ".pak").count == 1)
    }

    @Test("a read that fails is tried again at ticks; only one that never succeeds is damage")
    func failedReads() throws {
        let store = try ManualStore()
        let queue = store.store.declare("/queue/a")
        for _ in 0..<4 { fillSegment(store, queue) }
        store.drain()
        for failures in [2, 1_000] {
            store.files.fail(SimulatedFault(.read, Self.inputOutput, times: failures))
            expectHolds(store.fetch(queue) == nil)
            var wasFetched = false
            var isDamaged = false
            for _ in 0..<6 {
                store.drain()
                for notice in store.store.takeNotices() {
                    if case .fetched(let result) = notice { wasFetched = !result.items.isEmpty }
                    if case .damaged = notice { isDamaged = true }
                }
                store.tick(after: .seconds(1))
            }
            #expect(wasFetched == (failures == 2))
            #expect(isDamaged == (failures != 2))
            store.files.clearFaults()
        }
    }

    @Test("a start reads a checkpoint again before it gives it up")
    func failedStart() throws {
        let store = try ManualStore()
        _ = store.store.declare("/queue/a")
        store.store.requestCheckpoint()
        store.drain()
        store.files.kill()
        store.files.fail(SimulatedFault(.read, Self.inputOutput, pathSuffix: ".chk"))
        let again = try ManualStore(on: store.files)
        #expect(store.files.takeStrikes().count == 1)
        #expect(again.report.unusedCheckpoints == [])
    }
}
