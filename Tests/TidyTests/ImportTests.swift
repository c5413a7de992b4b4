import Testing

/// What the files below a folder may import, beyond what the folder above it may.
private let allowed: [(folder: String, modules: Set<String>)] = [
    ("Sources/Base/", []),
    (
        "Sources/LogStore/",
        ["Base", "CChecksum", "CZlib", "CZstd", "DequeModule", "Synchronization"]
    ),
    ("Sources/LogStore/IO/", ["CRing", "Glibc"]),
    ("Sources/ByteSpans/", ["NIOCore"]),
    ("Sources/Broker/", ["Base", "ByteSpans", "NIOCore", "DequeModule", "HeapModule"]),
    ("Sources/Broker/Storage/", ["LogStore"]),
    ("Sources/StompCodec/", ["Base", "ByteSpans", "NIOCore"]),
    // The codec's one file with unsafe pointers: search and comparison of bytes in C.
    ("Sources/StompCodec/ByteAccess.swift", ["CLineMarks", "Glibc"]),
    (
        "Sources/Server/",
        [
            "Base", "ByteSpans", "LogStore", "Broker", "StompCodec", "NIOCore", "NIOPosix",
            "DequeModule", "Logging", "Metrics", "ServiceLifecycle", "UnixSignals",
            "Synchronization", "Glibc",
            "NIOSSL",
        ]
    ),
    ("Sources/Server/Transport/", ["NIOTLS", "NIOHTTP1", "NIOWebSocket", "SwiftASN1"]),
    ("Sources/Server/Configuration/", ["TOMLKit"]),
    ("Sources/Server/Access/", ["CCrypt"]),
    (
        "Sources/radiatord/",
        ["Server", "ArgumentParser", "FoundationEssentials", "Glibc", "Synchronization"]
    ),
    (
        "tools/logtool/",
        [
            "Base", "LogStore", "StompCodec", "NIOCore", "ArgumentParser", "FoundationEssentials",
            "Glibc", "Synchronization",
        ]
    ),
    (
        "Benchmarks/radiator-bench/",
        [
            "Base", "NIOCore", "NIOPosix", "ArgumentParser", "FoundationEssentials", "Glibc",
            "Synchronization",
        ]
    ),
    (
        "Benchmarks/radiator-micro/",
        ["Base", "LogStore", "Broker", "StompCodec", "DequeModule", "NIOCore", "Glibc"]
    ),
]

/// The imports of a file that its folder does not allow; nil when no rule covers the folder.
private func wrongImports(of file: SourceFile) -> [String]? {
    let rules = allowed.filter { file.path.hasPrefix($0.folder) }
    guard !rules.isEmpty else { return nil }
    return file.imports.filter { module in !rules.contains { $0.modules.contains(module) } }
}

@Suite struct ImportTests {
    @Test("every module imports only what stands below it")
    func imports() throws {
        for file in try Repository.product() {
            let wrong = try #require(
                wrongImports(of: file),
                "\(file.path): no rule in ImportTests covers its folder"
            )
            #expect(wrong.isEmpty, "\(file.path) must not import \(wrong.joined(separator: ", "))")
        }
    }

    @Test("a forbidden import is found behind any modifier")
    func finds() {
        let text = "package import Base\n@testable import NIOCore\nimport struct Foundation.Data\n"
        let file = SourceFile(path: "Sources/LogStore/X.swift", text: text + "// import Glibc")
        #expect(wrongImports(of: file) == ["NIOCore", "Foundation"])
    }

    @Test("the store is known to the broker's storage folder only")
    func storage() {
        let text = "import LogStore"
        #expect(
            wrongImports(of: SourceFile(path: "Sources/Broker/Storage/X.swift", text: text)) == []
        )
        #expect(
            wrongImports(of: SourceFile(path: "Sources/Broker/X.swift", text: text)) == ["LogStore"]
        )
        #expect(wrongImports(of: SourceFile(path: "Sources/New/X.swift", text: text)) == nil)
    }
}
