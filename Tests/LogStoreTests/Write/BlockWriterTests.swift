import Base
import TestSupport
import Testing

@testable import LogStore

@Suite struct BlockWriterTests {
    private static let large = BlockBuffer.byteCount

    /// Drawn bytes, none of them zero, which come again after a number that is no part of a block.
    private static func bytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = (0..<251).map { _ in UInt8.random(in: 1...255, using: &generator) }
        while bytes.count < count { bytes += bytes }
        return Array(bytes.prefix(count))
    }

    @Test(
        "pieces of any length arrive as they are, with zeros up to the block's end behind them",
        arguments: FileSystemKind.allCases
    )
    func pieces(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            var generator = SeededGenerator(seed: 7)
            for start in [0, 1, 4095, 4096, 5000] {
                let path = "\(directory)/a\(start)"
                var expected = Self.bytes(start, &generator)
                let created = try files.open(path, .create)
                try files.write(created, at: 0, expected.span.bytes)
                files.close(created)

                let file = try files.open(path, .update)
                var writer = BlockWriter(files: files)
                try writer.begin(file, at: start)
                // Where the file system cannot, whole blocks are as good as any.
                _ = files.bypassCache(file)
                for count in [1, 4094, 1, 0, 4096, 300, 12_288, Self.large, 2 * Self.large + 5, 8] {
                    let piece = Self.bytes(count, &generator)
                    try writer.write(file, at: expected.count, piece.span.bytes)
                    expected += piece
                }
                try files.syncData(file)
                files.close(file)

                let reader = try files.open(path, .read)
                defer { files.close(reader) }
                var read: [UInt8] = []
                try read.appendBytes(upTo: expected.count + 8192) { span throws(FileError) in
                    try files.read(reader, at: 0, into: &span)
                }
                #expect(read.count % BlockBuffer.blockBytes == 0)
                #expect(Array(read.prefix(expected.count)) == expected)
                #expect(read.dropFirst(expected.count).allSatisfy { $0 == 0 })
            }
        }
    }

    @Test("a piece that failed is written again in full")
    func again() throws {
        let files = SimulatedFileSystem(seed: 3)
        try files.createDirectory("/data")
        let file = try files.open("/data/a", .create)
        var writer = BlockWriter(files: files)
        try writer.begin(file, at: 0)
        #expect(files.bypassCache(file))
        var generator = SeededGenerator(seed: 4)
        let first = Self.bytes(100, &generator)
        let second = Self.bytes(Self.large + 100, &generator)
        try writer.write(file, at: 0, first.span.bytes)
        for call in 1...2 {
            files.fail(SimulatedFault(.write, .noSpace, skip: call - 1))
            #expect(throws: FileError.self) {
                try writer.write(file, at: 100, second.span.bytes)
            }
            files.clearFaults()
        }
        try writer.write(file, at: 100, second.span.bytes)
        let contents = try files.contents("/data/a")
        #expect(Array(contents.prefix(second.count + 100)) == first + second)
    }
}
