	.file	"<string>"
	.section	.rodata.cst4,"aM",@progbits,4
	.p2align	2, 0x0
.LCPI0_0:
	.long	0xff800000
	.text
	.globl	k
	.p2align	4
	.type	k,@function
k:
	pushq	%rbp
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%rbx
	movq	%r8, -16(%rsp)
	cmpq	%r8, %rcx
	jge	.LBB0_24
	movq	(%rdx), %rax
	movq	8(%rdx), %rdx
	movq	%rdx, -24(%rsp)
	movq	%rcx, %rdx
	shlq	$10, %rdx
	leaq	(%rdx,%rax), %r8
	addq	$-512, %r8
	movl	$1, %esi
	subq	%rcx, %rsi
	subq	%rcx, %rsi
	leaq	(%rdx,%rax), %rdi
	addq	$-192, %rdi
	leaq	(%rdx,%rax), %r9
	addq	$-64, %r9
	vbroadcastss	.LCPI0_0(%rip), %zmm0
	jmp	.LBB0_2
	.p2align	4
.LBB0_15:
	movb	$1, %dl
	testb	%dl, %dl
	je	.LBB0_16
.LBB0_23:
	incq	%rcx
	movq	-8(%rsp), %r8
	addq	$1024, %r8
	addq	$-2, %rsi
	addq	$1024, %rdi
	addq	$1024, %r9
	cmpq	-16(%rsp), %rcx
	jge	.LBB0_24
.LBB0_2:
	movq	%rsi, %rax
	sarq	$63, %rax
	andnq	%rsi, %rax, %rdx
	shlq	$9, %rdx
	leaq	(%r9,%rdx), %r11
	leaq	(%rdi,%rdx), %r15
	movq	%r8, -8(%rsp)
	addq	%r8, %rdx
	movl	$1, %r8d
	subq	%rcx, %r8
	subq	%rcx, %r8
	movq	%r8, %rax
	sarq	$63, %rax
	andnq	%r8, %rax, %rax
	leaq	(%rcx,%rcx,2), %r14
	shlq	$7, %r14
	addq	-24(%rsp), %r14
	xorl	%r13d, %r13d
	jmp	.LBB0_3
	.p2align	4
.LBB0_9:
	movq	%r13, %r8
	shlq	$6, %r8
	vmovups	%zmm1, 448(%r14,%r8)
	incq	%r13
	jg	.LBB0_10
.LBB0_3:
	vmovaps	%zmm0, %zmm1
	cmpq	$2, %rax
	jg	.LBB0_9
	movl	$1, %r8d
	subq	%r13, %r8
	subq	%r13, %r8
	movq	%rdx, %r10
	movq	%rax, %rbx
	vmovaps	%zmm0, %zmm1
	jmp	.LBB0_5
	.p2align	4
.LBB0_8:
	incq	%rbx
	addq	$512, %r10
	cmpq	$3, %rbx
	jge	.LBB0_9
.LBB0_5:
	cmpq	$2, %r8
	jg	.LBB0_8
	movq	%r10, %r12
	movq	%r8, %rbp
	.p2align	4
.LBB0_7:
	vmovaps	%zmm1, %zmm2
	vmaxps	(%r12), %zmm1, %zmm1
	vcmpunordps	%zmm2, %zmm2, %k1
	vmovaps	%zmm2, %zmm1 {%k1}
	incq	%rbp
	addq	$64, %r12
	cmpq	$3, %rbp
	jl	.LBB0_7
	jmp	.LBB0_8
	.p2align	4
.LBB0_10:
	xorl	%r12d, %r12d
	jmp	.LBB0_11
	.p2align	4
.LBB0_14:
	leaq	(%r12,%r12,2), %rdx
	shlq	$6, %rdx
	vmovups	%zmm1, 512(%r14,%rdx)
	vmovups	%zmm2, 576(%r14,%rdx)
	vmovups	%zmm3, 640(%r14,%rdx)
	addq	$384, %r15
	incq	%r12
	jg	.LBB0_15
.LBB0_11:
	vmovaps	%zmm0, %zmm1
	vmovaps	%zmm0, %zmm2
	vmovaps	%zmm0, %zmm3
	cmpq	$2, %rax
	jg	.LBB0_14
	movq	%r15, %r13
	movq	%rax, %rbp
	vmovaps	%zmm0, %zmm1
	vmovaps	%zmm0, %zmm2
	vmovaps	%zmm0, %zmm3
	.p2align	4
.LBB0_13:
	vmovaps	%zmm3, %zmm4
	vmovaps	%zmm2, %zmm3
	vmovaps	%zmm1, %zmm2
	vmovups	-256(%r13), %zmm1
	vmovups	-128(%r13), %zmm5
	vmovups	(%r13), %zmm6
	vmaxps	-192(%r13), %zmm1, %zmm7
	vcmpunordps	%zmm1, %zmm1, %k1
	vmovaps	%zmm1, %zmm7 {%k1}
	vmaxps	%zmm5, %zmm7, %zmm1
	vcmpunordps	%zmm7, %zmm7, %k1
	vmovaps	%zmm7, %zmm1 {%k1}
	vmaxps	%zmm1, %zmm2, %zmm1
	vcmpunordps	%zmm2, %zmm2, %k1
	vmovaps	%zmm2, %zmm1 {%k1}
	vmaxps	-64(%r13), %zmm5, %zmm2
	vcmpunordps	%zmm5, %zmm5, %k1
	vmovaps	%zmm5, %zmm2 {%k1}
	vmaxps	%zmm6, %zmm2, %zmm5
	vcmpunordps	%zmm2, %zmm2, %k1
	vmovaps	%zmm2, %zmm5 {%k1}
	vmaxps	%zmm5, %zmm3, %zmm2
	vcmpunordps	%zmm3, %zmm3, %k1
	vmovaps	%zmm3, %zmm2 {%k1}
	vmaxps	64(%r13), %zmm6, %zmm3
	vcmpunordps	%zmm6, %zmm6, %k1
	vmovaps	%zmm6, %zmm3 {%k1}
	vmaxps	128(%r13), %zmm3, %zmm5
	vcmpunordps	%zmm3, %zmm3, %k1
	vmovaps	%zmm3, %zmm5 {%k1}
	vmaxps	%zmm5, %zmm4, %zmm3
	vcmpunordps	%zmm4, %zmm4, %k1
	vmovaps	%zmm4, %zmm3 {%k1}
	incq	%rbp
	addq	$512, %r13
	cmpq	$3, %rbp
	jl	.LBB0_13
	jmp	.LBB0_14
	.p2align	4
.LBB0_16:
	xorl	%r15d, %r15d
	jmp	.LBB0_17
	.p2align	4
.LBB0_22:
	movq	%r15, %rdx
	shlq	$6, %rdx
	vmovups	%zmm1, 704(%r14,%rdx)
	subq	$-128, %r11
	incq	%r15
	jns	.LBB0_23
.LBB0_17:
	vmovaps	%zmm0, %zmm1
	cmpq	$2, %rax
	jg	.LBB0_22
	movq	%r11, %r10
	movq	%rax, %rbx
	vmovaps	%zmm0, %zmm1
	.p2align	4
.LBB0_19:
	movq	%r10, %rdx
	xorl	%r8d, %r8d
	.p2align	4
.LBB0_20:
	vmovaps	%zmm1, %zmm2
	vmaxps	(%rdx), %zmm1, %zmm1
	vcmpunordps	%zmm2, %zmm2, %k1
	vmovaps	%zmm2, %zmm1 {%k1}
	incq	%r8
	addq	$64, %rdx
	cmpq	$3, %r8
	jl	.LBB0_20
	incq	%rbx
	addq	$512, %r10
	cmpq	$3, %rbx
	jl	.LBB0_19
	jmp	.LBB0_22
.LBB0_24:
	xorl	%eax, %eax
	popq	%rbx
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	popq	%rbp
	vzeroupper
	retq
.Lfunc_end0:
	.size	k, .Lfunc_end0-k

	.section	".note.GNU-stack","",@progbits
