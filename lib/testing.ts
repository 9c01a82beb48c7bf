/** What users' own tests need: a kernel fixture, pictures of an address space, invariant checks. Floor 10. */
export {}
