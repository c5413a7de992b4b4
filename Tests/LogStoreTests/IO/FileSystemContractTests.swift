import Glibc
import LogStore
import Testing

/// What every file system promises, checked on the real one and on the simulated one alike.
@Suite("file system contract")
struct FileSystemContractTests {
    @Test("a created file holds what was written", arguments: FileSystemKind.allCases)
    func createAndRead(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1, 2, 3], .create)
            #expect(try files.get("\(directory)/a") == [1, 2, 3])
        }
    }

    @Test("creating a file that exists fails", arguments: FileSystemKind.allCases)
    func createExisting(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1], .create)
            #expect(
                reason { () throws(FileError) in _ = try files.open("\(directory)/a", .create) }
                    == .exists
            )
            #expect(try files.get("\(directory)/a") == [1])
        }
    }

    @Test("opening a file that is missing fails", arguments: FileSystemKind.allCases)
    func openMissing(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            for mode in [FileMode.read, .update] {
                #expect(
                    reason { () throws(FileError) in _ = try files.open("\(directory)/a", mode) }
                        == .notFound
                )
            }
            for path in ["\(directory)/none/a", "\(directory)/none/none/a"] {
                #expect(
                    reason { () throws(FileError) in _ = try files.open(path, .create) }
                        == .notFound
                )
            }
        }
    }

    @Test("a path through a file is refused", arguments: FileSystemKind.allCases)
    func pathThroughFile(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1], .create)
            #expect(
                reason { () throws(FileError) in _ = try files.open("\(directory)/a/b", .create) }
                    == .other(ENOTDIR)
            )
            #expect(
                reason { () throws(FileError) in _ = try files.list("\(directory)/a") }
                    == .other(ENOTDIR)
            )
        }
    }

    @Test("a directory cannot be opened for writing", arguments: FileSystemKind.allCases)
    func openDirectory(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            #expect(
                reason { () throws(FileError) in _ = try files.open(directory, .update) }
                    == .other(EISDIR)
            )
        }
    }

    @Test("a read stops at the file's end", arguments: FileSystemKind.allCases)
    func readPastEnd(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/a"
            try files.put(path, [1, 2, 3], .create)
            #expect(try files.get(path, at: 1) == [2, 3])
            #expect(try files.get(path, at: 1, count: 1) == [2])
            #expect(try files.get(path, at: 3).isEmpty)
            #expect(try files.get(path, at: 10_000).isEmpty)
        }
    }

    @Test("a read appends behind what the span holds", arguments: FileSystemKind.allCases)
    func readAppends(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1, 2, 3], .create)
            let file = try files.open("\(directory)/a", .read)
            defer { files.close(file) }
            var memory = [UInt8](repeating: 0, count: 8)
            let count = try memory.withUnsafeMutableBytes { buffer in
                var span = OutputRawSpan(buffer: buffer, initializedCount: 0)
                try files.read(file, at: 2, into: &span)
                try files.read(file, at: 0, into: &span)
                return span.finalize(for: buffer)
            }
            #expect(Array(memory[..<count]) == [3, 1, 2, 3])
        }
    }

    @Test("a write past the end leaves zeros between", arguments: FileSystemKind.allCases)
    func writePastEnd(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/a"
            try files.put(path, [1], at: 5_000, .create)
            let bytes = try files.get(path)
            #expect(bytes == [UInt8](repeating: 0, count: 5_000) + [1])
        }
    }

    @Test("a write replaces only its own bytes", arguments: FileSystemKind.allCases)
    func overwrite(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/a"
            try files.put(path, [UInt8](1...9), .create)
            try files.put(path, [70, 80], at: 3, .update)
            #expect(try files.get(path) == [1, 2, 3, 70, 80, 6, 7, 8, 9])
            try files.put(path, [], at: 100, .update)
            #expect(try files.get(path).count == 9, "an empty write does not grow the file")
        }
    }

    @Test("a file opened for reading cannot be changed", arguments: FileSystemKind.allCases)
    func writeToReader(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1], .create)
            let file = try files.open("\(directory)/a", .read)
            defer { files.close(file) }
            let bytes: [UInt8] = [2]
            #expect(
                reason { () throws(FileError) in try files.write(file, at: 0, bytes.span.bytes) }
                    == .other(EBADF)
            )
            #expect(
                reason { () throws(FileError) in try files.truncate(file, to: 0) }
                    == .other(EINVAL)
            )
        }
    }

    @Test("two openings of one file see each other's writes", arguments: FileSystemKind.allCases)
    func twoOpenings(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let writer = try files.open("\(directory)/a", .create)
            defer { files.close(writer) }
            let reader = try files.open("\(directory)/a", .read)
            defer { files.close(reader) }
            let bytes: [UInt8] = [1, 2]
            try files.write(writer, at: 0, bytes.span.bytes)
            #expect(try files.bytes(of: reader) == [1, 2])
            #expect(try files.size(reader) == 2)
        }
    }

    @Test("truncate cuts, and extends with zeros", arguments: FileSystemKind.allCases)
    func truncate(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1, 2, 3, 4], .create)
            let file = try files.open("\(directory)/a", .update)
            defer { files.close(file) }
            try files.truncate(file, to: 2)
            #expect(try files.size(file) == 2)
            try files.truncate(file, to: 5)
            #expect(try files.bytes(of: file) == [1, 2, 0, 0, 0])
        }
    }

    @Test("syncs of files and directories succeed", arguments: FileSystemKind.allCases)
    func sync(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1], .create)
            let file = try files.open("\(directory)/a", .update)
            defer { files.close(file) }
            try files.syncData(file)
            try files.syncDirectory(directory)
            #expect(
                reason { () throws(FileError) in try files.syncDirectory("\(directory)/none") }
                    == .notFound
            )
            #expect(
                reason { () throws(FileError) in try files.syncDirectory("\(directory)/a") }
                    == .other(ENOTDIR)
            )
        }
    }

    @Test("a rename moves the file and replaces another", arguments: FileSystemKind.allCases)
    func rename(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.put("\(directory)/a", [1], .create)
            try files.put("\(directory)/b", [2], .create)
            try files.rename("\(directory)/a", to: "\(directory)/b")
            #expect(try files.list(directory) == ["b"])
            #expect(try files.get("\(directory)/b") == [1])
            try files.rename("\(directory)/b", to: "\(directory)/b")
            #expect(try files.get("\(directory)/b") == [1])
        }
    }

    @Test("a replaced or removed file lives until it is closed", arguments: FileSystemKind.allCases)
    func openFileSurvives(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            for name in ["a", "b", "c"] {
                try files.put("\(directory)/\(name)", Array(name.utf8), .create)
            }
            let replaced = try files.open("\(directory)/b", .read)
            defer { files.close(replaced) }
            let removed = try files.open("\(directory)/c", .read)
            defer { files.close(removed) }
            try files.rename("\(directory)/a", to: "\(directory)/b")
            try files.remove("\(directory)/c")
            #expect(try files.bytes(of: replaced) == Array("b".utf8))
            #expect(try files.bytes(of: removed) == Array("c".utf8))
        }
    }

    @Test("renames that cannot be are refused", arguments: FileSystemKind.allCases)
    func renameRefused(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let (a, none) = ("\(directory)/a", "\(directory)/none")
            #expect(reason { () throws(FileError) in try files.rename(none, to: a) } == .notFound)
            try files.put(a, [1], .create)
            #expect(
                reason { () throws(FileError) in try files.rename(a, to: "\(none)/b") }
                    == .notFound
            )
            try files.createDirectory("\(directory)/d")
            #expect(
                reason { () throws(FileError) in try files.rename(a, to: "\(directory)/d") }
                    == .other(EISDIR)
            )
            #expect(try files.get(a) == [1])
        }
    }

    @Test("a removed file is gone", arguments: FileSystemKind.allCases)
    func remove(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/a"
            try files.put(path, [1], .create)
            try files.remove(path)
            #expect(reason { () throws(FileError) in try files.remove(path) } == .notFound)
            #expect(reason { () throws(FileError) in _ = try files.open(path, .read) } == .notFound)
            try files.put(path, [2], .create)
            #expect(try files.get(path) == [2])
            #expect(
                reason { () throws(FileError) in try files.remove(directory) } == .other(EISDIR)
            )
        }
    }

    @Test("a list has the directory's names only", arguments: FileSystemKind.allCases)
    func list(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            #expect(try files.list(directory).isEmpty)
            try files.createDirectory("\(directory)/d/e")
            try files.put("\(directory)/b", [], .create)
            try files.put("\(directory)/.a", [], .create)
            try files.put("\(directory)/d/c", [], .create)
            #expect(try files.list(directory).sorted() == [".a", "b", "d"])
            #expect(try files.list("\(directory)/d").sorted() == ["c", "e"])
            #expect(
                reason { () throws(FileError) in _ = try files.list("\(directory)/x") }
                    == .notFound
            )
        }
    }

    @Test(
        "creating a directory makes its parents and may be repeated",
        arguments: FileSystemKind.allCases
    )
    func createDirectory(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            try files.createDirectory("\(directory)/x/y/z")
            try files.createDirectory("\(directory)/x/y/z")
            try files.createDirectory("\(directory)/x/")
            try files.put("\(directory)/x/y/z/a", [1], .create)
            #expect(try files.get("\(directory)/x//y/./z/a") == [1])
            #expect(
                reason { () throws(FileError) in
                    try files.createDirectory("\(directory)/x/y/z/a/b")
                } == .other(ENOTDIR)
            )
        }
    }

    @Test("a lock is taken once, until it is closed", arguments: FileSystemKind.allCases)
    func lock(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/lock"
            let first = try files.lock(path)
            #expect(reason { () throws(FileError) in _ = try files.lock(path) } == .locked)
            files.close(first)
            let second = try files.lock(path)
            files.close(second)
            #expect(
                reason { () throws(FileError) in _ = try files.lock("\(directory)/none/lock") }
                    == .notFound
            )
        }
    }

    @Test("there is free space in a directory that exists", arguments: FileSystemKind.allCases)
    func freeBytes(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let free = try files.freeBytes(directory)
            #expect(free > 0)
            #expect(
                reason { () throws(FileError) in _ = try files.freeBytes("\(directory)/none") }
                    == .notFound
            )
        }
    }

    @Test("an error names the path", arguments: FileSystemKind.allCases)
    func errorNamesPath(_ kind: FileSystemKind) throws {
        try kind.run { files, directory in
            let path = "\(directory)/missing"
            let error = #expect(throws: FileError.self) { _ = try files.open(path, .read) }
            #expect(error?.path == path)
            #expect(error?.operation == "open")
            #expect(error?.detail == "No such file or directory")
        }
    }
}
