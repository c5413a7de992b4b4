import Base
import Testing

@testable import LogStore

/// A file of the store is taken away, emptied or replaced: `verify` names every entry that a start can
/// no longer serve, and no checkpoint that is sound.
@Suite struct WholeFileDamageTests {
    enum Harm: CaseIterable { case removed, emptied, zeroed, foreign }

    @Test(
        "entries that a lost file held are named, and sound checkpoints are not",
        arguments: Harm.allCases
    )
    func named(harm: Harm) throws {
        let log = try ContainmentLog.make(.clean)
        let held = log.names.filter { $0.hasSuffix(".log") || $0.hasSuffix(".pak") }
        var lostCount = 0
        for name in held {
            let files = log.files.copy()
            let path = ContainmentLog.path(name)
            switch harm {
            case .removed: files[path] = nil
            case .emptied: files[path] = []
            case .zeroed: files[path] = [UInt8](repeating: 0, count: files[path]?.count ?? 0)
            case .foreign: files[path] = files[ContainmentLog.path(held[name == held[0] ? 1 : 0])]
            }
            let before = files.copy()
            // A segment that is a renamed other one is refused by name.
            guard let report = try? Verifier.run(files, directory: ContainmentLog.directory) else {
                continue
            }
            #expect(files.paths.allSatisfy { files[$0] == before[$0] }, "nothing is changed")
            guard
                let store = try? InlineStore(
                    files,
                    ContainmentLog.directory,
                    ContainmentLog.quietOptions
                )
            else { continue }
            let found = ContainmentState(reading: store)
            store.close()
            var lost: Set<String> = []
            for (id, queue) in log.expected.queues {
                for sequence in queue.entries.keys
                where found.queues[id]?.entries[sequence] == nil {
                    lost.insert("\(queue.name) \(sequence)")
                }
            }
            var named: Set<String> = []
            for item in report.damage {
                for range in item.entries {
                    for sequence in range.first..<range.end {
                        named.insert("\(item.queue ?? "") \(sequence)")
                    }
                }
            }
            #expect(lost.subtracting(named) == [], "\(harm) \(name)")
            #expect(report.isSound == false || lost == [])
            #expect(
                report.damage.filter { $0.file.hasSuffix(".chk") }.map(\.reason) == [],
                "\(harm) \(name)"
            )
            lostCount += lost.count
        }
        #expect(lostCount > 10)
    }

    @Test(
        "where a stray form stands beside the one that serves, the messages are read from that one"
    )
    func strayForm() throws {
        let log = try ContainmentLog.make(.clean)
        let forms = log.names.compactMap { name -> SegmentFile? in
            if case .packed(let file) = FileNames.kind(of: name) { file } else { nil }
        }
        let serving = try #require(forms.first)
        let files = log.files.copy()
        let stray = SegmentFile(segment: serving.segment, generation: 0)
        files[ContainmentLog.path(stray.name)] = Array("no segment".utf8)
        func entries(_ files: ScratchFiles) throws -> Int {
            var count = 0
            _ = try MessageReader.run(
                files,
                directory: ContainmentLog.directory,
                choice: .unsettled
            ) { message, _, _ in
                count += message.entries.count
                return true
            }
            return count
        }
        #expect(try entries(files) == entries(log.files))
        let report = try Verifier.run(files, directory: ContainmentLog.directory)
        #expect(Set(report.damage.map(\.file)) == [stray.name])
    }
}
