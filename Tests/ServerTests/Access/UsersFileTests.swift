import Base
import Foundation
import Testing

@testable import Server

private let hash = "$y$j9T$w9aQPU7V24tucHWeE4T4t/$HSXjzD8lJtbaevz00SLFp3H0oD18CbqRDje6xo7YqAB"

private func problems(_ text: String) -> [String] {
    do throws(ConfigurationError) {
        _ = try UsersFile(parsing: text, file: "u")
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

/// Runs a test in a directory of its own.
private func withDirectory(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "radiator-users-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
}

@Suite struct UsersFileTests {
    @Test("what is written reads as what it was, whoever edited the blanks around it")
    func roundTrip() throws {
        var users = UsersFile()
        let areNew = ["web", "Jürgen Müller", "web"].map { users.set(hash, for: $0) }
        #expect(areNew == [true, true, false])
        #expect(try UsersFile(parsing: users.text, file: "u") == users)
        let edited = users.text.replacing("\n", with: " \t\r\n\n# more\n").replacing(
            "=",
            with: " = "
        )
        #expect(try UsersFile(parsing: edited, file: "u") == users)
        #expect(users.names == ["Jürgen Müller", "web"])
        let wereThere = ["web", "web"].map { users.remove($0) }
        #expect(wereThere == [true, false])
        #expect(try UsersFile(parsing: "", file: "u") == UsersFile())
    }

    @Test("every wrong line is told with its number, and none with its text")
    func wrong() {
        let text = """
            # line 1
            [[user]]
            name = "web"
            passcode = "secret-one"
            [[user]]
            name = "a:b"
            hash = "secret-two"
            [[users]]
            [[user]]
            name = "ops" # a comment
            hash = '\(hash)'
            """
        let found = problems(text)
        #expect(
            found.map { $0.prefix { $0 != " " } } == [
                "u:4:", "u:2:", "u:6:", "u:7:", "u:8:", "u:10:", "u:11:", "u:9:",
            ]
        )
        #expect(!found.contains { $0.contains("secret") })
    }

    @Test(
        "a hash that the command does not write is refused: plain text, other methods, other costs",
        arguments: [
            "", "plain", "$1$abc$def", "$y$j9T$$",
            "$y$jFT$w9aQ$" + String(repeating: "a", count: 43),
            "$y$j9T$w9aQ$" + String(repeating: "a", count: 42), hash + "a", "*", hash + "$",
            "$y$j9T$w9aQ\u{E9}$" + String(repeating: "a", count: 43),
        ]
    )
    func hashes(hash: String) {
        #expect(!PasscodeHash.isSupported(hash))
        #expect(!problems("[[user]]\nname = \"web\"\nhash = \"\(hash)\"").isEmpty)
    }

    @Test("a user that is there twice, a name without a hash and a hash without a user are errors")
    func incomplete() {
        let web = "[[user]]\nname = \"web\"\nhash = \"\(hash)\"\n"
        #expect(problems(web + web) == ["u:4: user \"web\" is there twice"])
        #expect(
            problems(web + "[[user]]\nname = \"x\"") == ["u:4: [[user]] needs a name and a hash"]
        )
        #expect(problems("name = \"web\"").count == 1)
        #expect(problems(web + "hash = \"\(hash)\"").count == 1)
    }

    @Test(
        "a file that was changed at random is refused or has right users only, and nothing breaks"
    )
    func fuzz() throws {
        var generator = SeededGenerator(seed: 1)
        let right = Array("# u\n[[user]]\nname = \"web\"\nhash = \"\(hash)\"\n".utf8)
        let pieces = [
            "\"", "\\", "[[user]]", "\n", "=", "\0", "name", "hash", "é", "#", "[", "'''",
        ]
        .map { Array($0.utf8) }
        for _ in 0..<2_000 {
            var bytes = right
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0...bytes.count, using: &generator)
                if Bool.random(using: &generator), place < bytes.count {
                    bytes.removeSubrange(place..<min(bytes.count, place + 3))
                } else {
                    bytes.insert(
                        contentsOf: pieces.randomElement(using: &generator) ?? [],
                        at: place
                    )
                }
            }
            guard
                let users = try? UsersFile(
                    parsing: String(decoding: bytes, as: UTF8.self),
                    file: "u"
                )
            else { continue }
            for (name, hash) in users.hashes {
                #expect(UsersFile.problem(name: name) == nil && PasscodeHash.isSupported(hash))
            }
        }
    }

    @Test("more users than the limit are an error that names it", arguments: [3, 4])
    func tooMany(count: Int) throws {
        let users = (0..<count).map { "[[user]]\nname = \"\($0)\"\nhash = \"\(hash)\"\n" }
        do throws(ConfigurationError) {
            let file = try UsersFile(parsing: users.joined(), file: "u", usersMax: 3)
            #expect(count == 3 && file.names == ["0", "1", "2"])
        } catch {
            #expect(count == 4 && error.description == "u:1: more users than 3")
        }
        #expect(UsersFile.usersMax == 10_000)
    }

    @Test(
        "a change is written whole, for nobody else to read, and keeps the mode of a file that is there"
    )
    func writes() throws {
        try withDirectory { directory in
            let path = directory + "/users.toml"
            func mode() throws -> Int? {
                try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            }
            let isNew = try UsersFile.change(path, mustExist: false) { $0.set(hash, for: "web") }
            #expect(isNew)
            #expect(try mode() == 0o600)
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
            // What a command left that was killed.
            try Data("[[".utf8).write(to: URL(filePath: path + ".new"))
            _ = try UsersFile.change(path, mustExist: true) { $0.set(hash, for: "ops") }
            #expect(try mode() == 0o640)
            #expect(try UsersFile.names(in: path) == ["ops", "web"])
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: directory) == ["users.toml"]
            )
        }
    }

    @Test("what is no regular file, and what is wrong, is neither followed nor overwritten")
    func nonsense() throws {
        try withDirectory { directory in
            let path = directory + "/users.toml"
            func change(_ path: String) -> String? {
                do throws(ConfigurationError) {
                    _ = try UsersFile.change(path, mustExist: false) { $0.set(hash, for: "web") }
                    return nil
                } catch {
                    return error.description
                }
            }
            try Data("plain text".utf8).write(to: URL(filePath: path))
            #expect(change(path)?.contains("users.toml:1: expected [[user]]") == true)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "plain text")
            let link = directory + "/link"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
            #expect(change(link)?.contains("is a symbolic link") == true)
            #expect(mkfifo(directory + "/pipe", 0o600) == 0)
            #expect(change(directory + "/pipe")?.contains("is no regular file") == true)
            #expect(change(directory)?.contains("is no regular file") == true)
            #expect(change(directory + "/not/there")?.contains("cannot be written") == true)
        }
    }
}

@Suite struct PasscodeHashTests {
    @Test("a passcode has its own hash, and no other passcode has; salts differ")
    func hashes() throws {
        let passcode = Array("correct horse".utf8)
        let (first, second) = (try PasscodeHash.make(passcode), try PasscodeHash.make(passcode))
        #expect(first != second && PasscodeHash.isSupported(first))
        #expect(try PasscodeHash.hash(passcode, by: first) == first)
        #expect(try PasscodeHash.hash(Array("correct horsf".utf8), by: first) != first)
        #expect(PasscodeHash.isSupported(try PasscodeHash.decoy()))
    }

    @Test(
        "new passcodes are long enough, text, and come through CONNECT as they are",
        arguments: [
            ("12345678", true), ("1234567", false), (String(repeating: "x", count: 511), true),
            (String(repeating: "x", count: 512), false), (" 12345678", false), ("12345678 ", false),
            ("1234\t5678", false), ("1234\n5678", false), ("pässwörter", true), ("a b c d e", true),
            ("\u{1B}12345678", false),
        ]
    )
    func rules(passcode: String, isRight: Bool) {
        #expect((PasscodeHash.problem(Array(passcode.utf8)) == nil) == isRight)
    }

    @Test("bytes that are no text are no passcode")
    func bytes() {
        #expect(PasscodeHash.problem([UInt8](repeating: 0xFF, count: 9)) != nil)
    }
}
