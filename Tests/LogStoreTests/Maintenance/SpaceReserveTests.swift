import Glibc
import Testing

@testable import LogStore

@Suite struct SpaceReserveTests {
    @Test(
        "a reserve that leads to another file is replaced, and that file is left alone",
        arguments: [false, true]
    )
    func link(isSymbolic: Bool) throws {
        try withTemporaryDirectory { directory in
            let files = PosixFileSystem()
            let (reserve, other) = (directory + "/reserve", directory + "/other")
            let content = [UInt8](repeating: 7, count: 8192)
            let file = try files.open(other, .create)
            try files.write(file, at: 0, content.span.bytes)
            files.close(file)
            if isSymbolic {
                #expect(symlink(other, reserve) == 0)
            } else {
                try files.link(other, to: reserve)
            }
            let space = SpaceReserve(files, directory: directory, byteCount: 8192)
            #expect(!space.isWhole && !space.release(100))
            space.grow(by: 100)
            space.keep(freeBytes: 1 << 20)
            #expect(space.isWhole && !files.isSymbolicLink(reserve))
            #expect(try files.linkCount(other) == 1)
            expectHolds(space.release(100))
            let reader = try BlockReader(files, try files.open(other, .read))
            #expect(reader.size == content.count)
        }
    }
}
