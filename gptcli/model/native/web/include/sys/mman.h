/* Empty: WebAssembly maps no files, and store.c then asks for no large pages. */
